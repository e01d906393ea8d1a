//! Every postgresql-* setting does what it says, and a wrong one is named.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures::future::join_all;
use pac_concurrency::{Delta, Driver, Holder, Renewal, RepositoryKey, Version, Window};
use pac_config::{PostgreSqlSettings, Secret};
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_devservers::proxy::{Passage, Proxy};
use pac_driver_pg::PgDriver;
use tokio::time::timeout;

use crate::support::{Server, refused, settings};

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_own_setup_works_as_printed() {
    let server = Server::start();
    let checked = server.connect().await.check().await.unwrap();
    assert!(checked.server.starts_with("PostgreSQL "), "{checked:?}");
    assert_eq!(checked.address, format!("127.0.0.1:{}/pac_concurrency", server.postgres.port()));
}

/// Settings, the kind of error they lead to, and words it must have.
type Case<'c> = (&'c [(&'c str, &'c str)], &'c str, &'c [&'c str]);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named() {
    let server = Server::start();
    let port = server.postgres.port().to_string();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let cases: [Case<'_>; 6] = [
        (&[("postgresql-port", &free)], "unavailable", &["connection refused", "postgresql-host", "postgresql-port"]),
        (
            &[("postgresql-port", &port), ("postgresql-password", "wrong")],
            "rejected",
            &["authentication failed", "pac_user", "postgresql-password"],
        ),
        (
            &[("postgresql-port", &port), ("postgresql-username", "nobody else")],
            "rejected",
            &["authentication failed", "nobody else", "postgresql-username"],
        ),
        (
            &[("postgresql-port", &port), ("postgresql-database", "none")],
            "rejected",
            &["there is no database \"none\"", "postgresql-database"],
        ),
        (
            &[("postgresql-port", &port), ("postgresql-ssl-mode", "require")],
            "rejected",
            &["no TLS", "postgresql-ssl-mode"],
        ),
        (
            &[("postgresql-port", &port), ("postgresql-host", "no-such-host.invalid")],
            "unavailable",
            &["no connection to no-such-host.invalid", "postgresql-host"],
        ),
    ];
    for (entries, kind, words) in cases {
        let (was, text) = refused(&settings(entries)).await;
        assert_eq!(was, kind, "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text:?}");
        }
        assert!(!text.contains(PASSWORD) && !text.contains("wrong"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_may_have_any_characters() {
    let postgres = Postgres::start_empty(&[]).unwrap();
    let port = postgres.port().to_string();
    for (number, odd) in
        [r#"a b"#, r#"it's "quoted""#, r"back\slash\\", "p@ss:w/rd?%40#", "Grüße 你好"].iter().enumerate()
    {
        let name = format!("\"{}{number}\"", odd.replace('"', "\"\""));
        postgres.administer(&format!("CREATE DATABASE {name}")).unwrap();
        postgres.administer(&format!("CREATE USER {name} WITH PASSWORD '{PASSWORD}'")).unwrap();
        postgres.administer(&format!("GRANT ALL PRIVILEGES ON DATABASE {name} TO {name}")).unwrap();
        let plain = format!("{odd}{number}");
        let entries =
            [("postgresql-port", port.as_str()), ("postgresql-database", &plain), ("postgresql-username", &plain)];
        let driver = PgDriver::connect(&settings(&entries)).await.unwrap();
        assert_eq!(driver.check().await.unwrap().address, format!("127.0.0.1:{port}/{plain}"));
    }
}

/// What SCRAM prepares is prepared alike here and there; what it can't is used as it is, here and there.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_used_to_the_byte_whatever_it_is() {
    let server = Server::start();
    let passwords = [
        "plain",
        " ",
        " a b ",
        "it's \"quoted\"",
        r"back\slash\\",
        "p@ss:w/rd?%40#",
        "Grüße 你好",
        "line end\n",
        "two\r\n",
        "\n",
        "in\nside",
        "tab\t",
        "escape \u{1b}[31m",
        "bell\u{7}",
        "delete\u{7f}",
        "emoji 🎉",
        "👩‍👩‍👧",
        "left \u{200e}to right",
        "no \u{a0}break",
        "soft\u{ad}hyphen",
        "שלום",
        "שלום1a",
        "x\u{301}ﬁ",
        "new \u{1fae8}",
        "\u{feff}mark",
        "private \u{e000}",
        "\u{fdd0}",
    ];
    for password in passwords {
        let literal = password.replace('\'', "''");
        server.postgres.administer(&format!("ALTER USER pac_user WITH PASSWORD '{literal}'")).unwrap();
        let settings = PostgreSqlSettings { password: Some(Secret::new(password)), ..server.settings() };
        let connected = PgDriver::inspect(&settings).await;
        assert!(connected.is_ok(), "{password:?}: {connected:?}");
        let settings = PostgreSqlSettings { password: Some(Secret::new(format!("{password}x"))), ..settings };
        let (kind, text) = refused(&settings).await;
        assert!(kind == "rejected" && text.contains("authentication failed"), "{password:?}: {text}");
        let told = format!("{password:?}");
        assert!(password.len() < 4 || !text.contains(told.trim_matches('"')), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_the_user_is_set_to_does_the_work() {
    let server = Server::start();
    server
        .postgres
        .administer("CREATE ROLE pac_owner; GRANT pac_owner TO pac_user; ALTER ROLE pac_user SET role = 'pac_owner'")
        .unwrap();
    let (kind, text) = refused(&server.settings()).await;
    assert_eq!(kind, "rejected");
    assert!(text.contains("role \"pac_owner\"") && text.contains("TO \"pac_owner\""), "{text}");
    server.ask("GRANT CREATE ON DATABASE pac_concurrency TO pac_owner");
    let driver = server.connect().await;
    driver.begin(&Holder::new("watcher")).await.unwrap();
    driver.check().await.unwrap();
    let owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'pac_concurrency'";
    assert_eq!(server.ask(owners), "pac_owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_all_characters_keeps_a_past_that_has_them() {
    let server = Server::start();
    server
        .postgres
        .administer("CREATE DATABASE latin OWNER pac_user ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        .unwrap();
    let settings = PostgreSqlSettings { database: "latin".to_owned(), ..server.settings() };
    let driver = PgDriver::connect(&settings).await.unwrap();
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.commit(&repository, Version::NONE, &holder, &Delta::default()).await.unwrap();
    driver.history().unwrap().write(&repository, r#"{"why":"a — b 🎉"}"#).await.unwrap();
    assert_eq!(
        driver.history().unwrap().read(&repository).await.unwrap().as_deref(),
        Some(r#"{"why":"a \u2014 b \ud83c\udf89"}"#)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_begins_ends_no_other_that_lives() {
    let server = Server::start();
    let driver = server.connect().await;
    let (first, second) = (Holder::new("first"), Holder::new("second"));
    driver.begin(&first).await.unwrap();
    driver.begin(&second).await.unwrap();
    assert_eq!(driver.renew(&first).await.unwrap(), Renewal::Renewed);
    // One that ran out is gone, by the server's clock.
    server.ask("UPDATE pac_concurrency.leases SET expires_at = now() WHERE holder LIKE 'first%'");
    driver.begin(&Holder::new("third")).await.unwrap();
    assert_eq!(driver.renew(&first).await.unwrap(), Renewal::Lost);
    assert_eq!(server.ask("SELECT count(*) FROM pac_concurrency.leases"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_opened_than_allowed() {
    for allowed in [1, 4] {
        // One of its own: what an earlier driver has closed, the server counts for a moment longer.
        let server = Server::start();
        let settings = PostgreSqlSettings { max_connections: allowed, ..server.settings() };
        let driver = PgDriver::connect(&settings).await.unwrap();
        let _changes = driver.changes();
        let (driver, repository) = (&driver, &repository());
        let loads = (0..50).map(|_| async move { driver.load(repository, Window::Whole).await.unwrap() });
        futures::future::join_all(loads).await;
        let open = server.ask("SELECT count(*) FROM pg_stat_activity WHERE usename = 'pac_user'");
        assert!(open.parse::<u32>().unwrap() <= allowed, "{open} connections, {allowed} allowed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_given_up_on_in_time() {
    // Takes connections, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let began = Instant::now();
    let (kind, text) =
        refused(&settings(&[("postgresql-port", &port), ("postgresql-connection-timeout", "500ms")])).await;
    assert_eq!(kind, "unavailable");
    assert!(text.contains("postgresql-connection-timeout"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// Whatever it is about to ask or be told just then.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_held_in_the_middle_of_connecting_is_given_up_on_in_time() {
    let server = Server::start();
    server.connect().await;
    let attempts = (0..12).map(|number| held_after(&server, Duration::from_millis(50) * number));
    let ended = timeout(Duration::from_secs(15), join_all(attempts)).await;
    let failed = ended.expect("one is connecting still").into_iter().filter(|failed| *failed).count();
    assert!(failed >= 6, "most were held before they were done: {failed}");
}

/// Whether connecting failed, over a network that is slow and then held.
async fn held_after(server: &Server, wait: Duration) -> bool {
    let proxy = Proxy::start(server.postgres.port()).unwrap();
    proxy.slow_down(Duration::from_millis(20));
    let connection_timeout = Duration::from_secs(1);
    let settings = PostgreSqlSettings { connection_timeout, ..server.settings_at(proxy.port()) };
    let attempt = tokio::spawn(async move { PgDriver::connect(&settings).await.map(drop) });
    tokio::time::sleep(wait).await; // nothing tells how far it has come, so every moment is tried
    proxy.set(Passage::Held);
    let outcome = attempt.await.unwrap();
    outcome.as_ref().err().iter().for_each(|error| assert_eq!(error.kind(), "unavailable", "{error}"));
    outcome.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lasts_as_long_as_the_setting_says_by_the_servers_clock() {
    let server = Server::start();
    let settings = PostgreSqlSettings { lease_ttl: Duration::from_secs(90), ..server.settings() };
    let driver = PgDriver::connect(&settings).await.unwrap();
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    let left = "SELECT round(extract(epoch FROM expires_at - now()) / 10) FROM pac_concurrency.leases";
    assert_eq!(server.ask(left), "9");
    // As if the server's clock had gone on for two minutes.
    server.ask("UPDATE pac_concurrency.leases SET expires_at = expires_at - interval '2 minutes'");
    assert_eq!(driver.renew(&holder).await.unwrap(), Renewal::Lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_rights_is_told_which_grant_is_missing() {
    let server = Server::start();
    server.connect().await;
    server.postgres.administer(&format!("CREATE USER least WITH PASSWORD '{PASSWORD}'")).unwrap();
    let settings = PostgreSqlSettings { username: "least".into(), ..server.settings() };
    let (kind, text) = refused(&settings).await;
    assert_eq!(kind, "rejected");
    let missing = "GRANT USAGE ON SCHEMA pac_concurrency TO \"least\"";
    assert!(text.contains("permission denied") && text.contains(missing), "{text}");
    server.ask(missing);
    let missing = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO \"least\"";
    let (_, text) = refused(&settings).await;
    assert!(text.contains(missing), "{text}");
    server.ask(missing);
    let driver = PgDriver::connect(&settings).await.unwrap();
    let (holder, delta) = (Holder::new("watcher"), Delta::default());
    driver.begin(&holder).await.unwrap();
    driver.commit(&repository(), Version::NONE, &holder, &delta).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_create_nothing_is_told_so() {
    let server = Server::start();
    server.postgres.administer(&format!("CREATE USER stranger WITH PASSWORD '{PASSWORD}'")).unwrap();
    let (kind, text) = refused(&PostgreSqlSettings { username: "stranger".into(), ..server.settings() }).await;
    assert_eq!(kind, "rejected");
    assert!(text.contains("GRANT CREATE, CONNECT ON DATABASE \"pac_concurrency\" TO \"stranger\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_used_at_the_next_connection() {
    let server = Server::start();
    let before = server.connect().await;
    before.load(&repository(), Window::Whole).await.unwrap();
    server.postgres.administer("ALTER USER pac_user WITH PASSWORD 'another'").unwrap();
    // Those that are open go on.
    before.load(&repository(), Window::Whole).await.unwrap();
    let settings = server.settings();
    assert_eq!(refused(&settings).await.0, "rejected");
    let settings = PostgreSqlSettings { password: Some(Secret::new("another")), ..settings };
    PgDriver::connect(&settings).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_too_few_connections_says_so_and_goes_on() {
    let server = Server::start();
    let driver = server.connect().await;
    server.postgres.administer("ALTER USER pac_user CONNECTION LIMIT 1").unwrap();
    let (driver, repository) = (&driver, &repository());
    let loads = (0..20).map(|_| async move { driver.load(repository, Window::Whole).await });
    let errors: Vec<_> = futures::future::join_all(loads).await.into_iter().filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    for error in errors {
        assert_eq!(error.kind(), "unavailable");
        assert!(error.to_string().contains("postgresql-max-connections"), "{error}");
    }
    server.postgres.administer("ALTER USER pac_user CONNECTION LIMIT -1").unwrap();
    driver.load(repository, Window::Whole).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_not_taken_for_a_primary() {
    let server = Server::start();
    let driver = server.connect().await;
    server.postgres.administer("ALTER SYSTEM SET default_transaction_read_only = on").unwrap();
    server.postgres.administer("SELECT pg_reload_conf()").unwrap();
    server
        .postgres
        .administer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pac_user'")
        .unwrap();
    let holder = Holder::new("watcher");
    let error = driver.begin(&holder).await.unwrap_err();
    assert_eq!(error.kind(), "unavailable", "{error}");
    assert!(error.to_string().contains("postgresql-host should lead to the primary"), "{error}");
    assert_eq!(driver.check().await.unwrap_err().kind(), "unavailable");
}
