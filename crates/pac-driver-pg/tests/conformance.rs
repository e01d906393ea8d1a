//! The PostgreSQL driver keeps the contract, on a real server.

mod support;

use pac_concurrency::conformance::exercise;

use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_keep_the_contract() {
    exercise(&Server::start(), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drivers_keep_the_contract() {
    exercise(&Server::start(), 8).await;
}
