//! The PostgreSQL driver keeps the contract, on a real server.

mod support;

use pac_concurrency::conformance::exercise;

use crate::support::Server;

mod two_drivers {
    use crate::support::Server;

    pac_concurrency::conformance_tests!(Server::start(), 2);
}

/// Administrators may have chosen another isolation for the whole database; then it is the server that notices conflicts.
#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept_whatever_isolation_is_the_databases_own() {
    for isolation in ["repeatable read", "serializable"] {
        let server = Server::start();
        let set = format!("ALTER DATABASE pac_concurrency SET default_transaction_isolation = '{isolation}'");
        server.postgres.administer(&set).unwrap();
        exercise(&server, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drivers_keep_the_contract() {
    exercise(&Server::start(), 8).await;
}
