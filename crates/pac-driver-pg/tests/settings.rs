//! Every postgresql-* setting does what it says, and a wrong one is named.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use futures::future::join_all;
use pac_concurrency::{Driver, Holder, Renewal, RepositoryKey, Window};
use pac_config::Secret;
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_devservers::proxy::{Passage, Proxy};
use pac_driver_pg::PgDriver;
use tokio::time::timeout;

use crate::support::{Authority, Server, refused, settings};

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
async fn ssl_modes_check_what_they_say() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let options = authority.server_options("localhost");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let postgres = Postgres::start_with(&options).unwrap();
    let port = postgres.port().to_string();
    let (own, other) = (authority.ca_file(), stranger.ca_file());
    let with = |host, mode, ca: Option<&str>| {
        let mut entries = vec![("postgresql-port", port.as_str()), ("postgresql-host", host)];
        entries.push(("postgresql-ssl-mode", mode));
        entries.extend(ca.map(|file| ("postgresql-ssl-ca-file", file)));
        settings(&entries)
    };
    // The certificate is for localhost, not for 127.0.0.1.
    for accepted in [
        with("127.0.0.1", "disable", None),
        with("127.0.0.1", "require", None),
        with("127.0.0.1", "verify-ca", Some(&own)),
        with("localhost", "verify-full", Some(&own)),
    ] {
        PgDriver::connect(&accepted).await.unwrap();
    }
    for refusing in [
        with("127.0.0.1", "verify-full", Some(&own)),
        with("localhost", "verify-ca", Some(&other)),
        with("localhost", "verify-full", Some(&other)),
        with("localhost", "verify-ca", None),
    ] {
        let (kind, text) = refused(&refusing).await;
        assert_eq!(kind, "rejected", "{:?} {text}", refusing.ssl_mode);
        assert!(text.contains("postgresql-ssl-ca-file"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_passwords_may_have_any_characters() {
    let postgres = Postgres::start_empty(&[]).unwrap();
    let port = postgres.port().to_string();
    for (number, odd) in
        [r#"a b"#, r#"it's "quoted""#, r"back\slash\\", "p@ss:w/rd?%40#", "Grüße 你好"].iter().enumerate()
    {
        let (name, literal) = (format!("\"{}{number}\"", odd.replace('"', "\"\"")), odd.replace('\'', "''"));
        postgres.administer(&format!("CREATE DATABASE {name}")).unwrap();
        postgres.administer(&format!("CREATE USER {name} WITH PASSWORD '{literal}'")).unwrap();
        postgres.administer(&format!("GRANT ALL PRIVILEGES ON DATABASE {name} TO {name}")).unwrap();
        let plain = format!("{odd}{number}");
        let entries = [
            ("postgresql-port", port.as_str()),
            ("postgresql-database", &plain),
            ("postgresql-username", &plain),
            ("postgresql-password", odd),
        ];
        let driver = PgDriver::connect(&settings(&entries)).await.unwrap();
        assert_eq!(driver.check().await.unwrap().address, format!("127.0.0.1:{port}/{plain}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_opened_than_allowed() {
    let server = Server::start();
    for allowed in [1, 4] {
        let settings = pac_config::PostgreSqlSettings { max_connections: allowed, ..server.settings() };
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
    let settings = pac_config::PostgreSqlSettings { connection_timeout, port: proxy.port(), ..server.settings() };
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
    let settings = pac_config::PostgreSqlSettings { lease_ttl: Duration::from_secs(90), ..server.settings() };
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
    let settings = pac_config::PostgreSqlSettings { username: "least".into(), ..server.settings() };
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
    let (holder, delta) = (Holder::new("watcher"), pac_concurrency::Delta::default());
    driver.begin(&holder).await.unwrap();
    driver.commit(&repository(), pac_concurrency::Version::NONE, &holder, &delta).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_may_create_nothing_is_told_so() {
    let server = Server::start();
    server.postgres.administer(&format!("CREATE USER stranger WITH PASSWORD '{PASSWORD}'")).unwrap();
    let (kind, text) =
        refused(&pac_config::PostgreSqlSettings { username: "stranger".into(), ..server.settings() }).await;
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
    let settings = pac_config::PostgreSqlSettings { password: Some(Secret::new("another")), ..settings };
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
