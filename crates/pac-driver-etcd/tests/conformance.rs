//! The etcd driver keeps the contract, on real servers.

mod support;

use pac_concurrency::conformance::exercise;

use crate::support::Cluster;

mod two_drivers {
    use crate::support::Cluster;

    pac_concurrency::conformance_tests!(Cluster::start(1), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drivers_keep_the_contract() {
    exercise(&Cluster::start(1), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_keep_the_contract_on_three_members() {
    exercise(&Cluster::start(3), 2).await;
}
