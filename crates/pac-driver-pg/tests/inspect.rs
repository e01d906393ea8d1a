//! Looking at a server tells what connecting would do there and whether the user may write, and changes nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RunKey, Schema, Version, Window};
use pac_config::PostgreSqlSettings;
use pac_devservers::postgres::PASSWORD;
use pac_driver_pg::PgDriver;

use crate::support::{Server, refused};

/// Everything the database has, and the newest version of each of its catalogue's rows.
const CONTENT: &str = "SELECT (SELECT count(*) FROM pg_class) || ' ' || (SELECT max(xmin::text::bigint) FROM pg_class) \
    || ' ' || (SELECT count(*) FROM pg_namespace) || ' ' || (SELECT count(*) FROM pg_proc)";

fn user(server: &Server, name: &str) -> PostgreSqlSettings {
    server.postgres.administer(&format!("CREATE USER {name} WITH PASSWORD '{PASSWORD}'")).unwrap();
    PostgreSqlSettings { username: name.to_owned(), ..server.settings() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_database_stays_empty() {
    let server = Server::start();
    let before = server.ask(CONTENT);
    let (inspection, driver) = PgDriver::inspect(&server.settings()).await.unwrap();
    assert_eq!(inspection.schema, Schema::Missing { wanted: 3 });
    assert_eq!(inspection.cannot_write, None);
    assert!(inspection.server.server.starts_with("PostgreSQL "), "{inspection:?}");
    assert_eq!(driver.repositories().await.unwrap().keys, []);
    assert_eq!(driver.load(&"ns/repo".parse().unwrap(), Window::Whole).await.unwrap().version, Version::NONE);
    assert!(driver.legacy_source().unwrap().read().await.unwrap().is_none());
    assert_eq!(server.ask(CONTENT), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_schema_stays_as_it_is_and_can_be_read() {
    let server = Server::start();
    let driver = server.connect().await;
    let (holder, repository) = (Holder::new("watcher"), "ns/repo".parse().unwrap());
    driver.begin(&holder).await.unwrap();
    let waiting = Entry::new(RunKey::new("ns", "run", "uid").unwrap(), OrderKey::alone(1));
    let delta = Delta { enqueue: vec![waiting], ..Delta::default() };
    driver.commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    server.ask("DELETE FROM pac_concurrency.migrations WHERE version > 1; DROP TABLE pac_concurrency.past");
    let before = server.ask(CONTENT);
    let (inspection, driver) = PgDriver::inspect(&server.settings()).await.unwrap();
    assert_eq!(inspection.schema, Schema::Older { found: 1, wanted: 3 });
    assert_eq!(inspection.cannot_write, None);
    assert_eq!(driver.load(&repository, Window::Whole).await.unwrap().waiting_count, 1);
    assert_eq!(server.ask(CONTENT), before);
    assert_eq!(server.ask("SELECT max(version) FROM pac_concurrency.migrations"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_is_told_which_rights_are_missing() {
    let server = Server::start();
    server.connect().await;
    let reader = user(&server, "reader");
    server.ask(
        "GRANT USAGE ON SCHEMA pac_concurrency TO reader;
         GRANT SELECT ON ALL TABLES IN SCHEMA pac_concurrency TO reader;
         GRANT DELETE ON pac_concurrency.slots TO reader",
    );
    let (inspection, driver) = PgDriver::inspect(&reader).await.unwrap();
    assert_eq!(inspection.schema, Schema::Current { version: 3 });
    let missing = inspection.cannot_write.unwrap();
    assert!(missing.contains("INSERT on slots") && !missing.contains("DELETE on slots"), "{missing}");
    let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO \"reader\"";
    assert!(missing.contains(grant), "{missing}");
    driver.repositories().await.unwrap();
    // Nor does a watcher start with such a user, to find out at its first write.
    let (kind, text) = refused(&reader).await;
    assert!(kind == "rejected" && text.contains(grant), "{kind}: {text}");
    server.ask(grant);
    assert_eq!(PgDriver::inspect(&reader).await.unwrap().0.cannot_write, None);
    PgDriver::connect(&reader).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_shows_in_every_check_from_then_on() {
    let server = Server::start();
    server.connect().await;
    let least = user(&server, "least");
    server.ask(
        "GRANT USAGE ON SCHEMA pac_concurrency TO least;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO least",
    );
    let driver = PgDriver::connect(&least).await.unwrap();
    driver.check().await.unwrap();
    server.ask("REVOKE INSERT ON pac_concurrency.leases FROM least");
    let error = driver.check().await.unwrap_err();
    assert_eq!(error.kind(), "rejected");
    assert!(error.to_string().contains("INSERT on leases"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_create_or_migrate_is_told_so() {
    let server = Server::start();
    let stranger = user(&server, "stranger");
    let (inspection, _) = PgDriver::inspect(&stranger).await.unwrap();
    assert_eq!(inspection.schema, Schema::Missing { wanted: 3 });
    let why = inspection.cannot_write.unwrap();
    assert!(why.contains("GRANT CREATE, CONNECT ON DATABASE \"pac_concurrency\" TO \"stranger\""), "{why}");
    server.connect().await;
    server.ask(
        "GRANT USAGE ON SCHEMA pac_concurrency TO stranger; GRANT SELECT ON ALL TABLES IN SCHEMA pac_concurrency TO stranger;
         DELETE FROM pac_concurrency.migrations WHERE version = 3",
    );
    let (inspection, _) = PgDriver::inspect(&stranger).await.unwrap();
    assert_eq!(inspection.schema, Schema::Older { found: 2, wanted: 3 });
    assert!(inspection.cannot_write.unwrap().contains("of the schema's owner"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_writes_and_a_schema_too_new_are_told() {
    let server = Server::start();
    server.connect().await;
    server.postgres.administer("ALTER DATABASE pac_concurrency SET default_transaction_read_only = on").unwrap();
    let error = PgDriver::inspect(&server.settings()).await.map(drop).unwrap_err();
    assert!(error.kind() == "unavailable" && error.to_string().contains("takes no writes"), "{error}");
    server.postgres.administer("ALTER DATABASE pac_concurrency RESET default_transaction_read_only").unwrap();
    server.ask("INSERT INTO pac_concurrency.migrations (version) VALUES (99)");
    let error = PgDriver::inspect(&server.settings()).await.map(drop).unwrap_err();
    assert!(error.kind() == "rejected" && error.to_string().contains("version 99"), "{error}");
}
