//! TLS: what each mode checks, whom a file of authorities trusts, and the certificate that is shown.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::process::Command;

use pac_concurrency::Driver;
use pac_config::PostgreSqlSettings;
use pac_devservers::postgres::Postgres;
use pac_driver_pg::PgDriver;

use crate::support::{Authority, refused, settings};

/// A server that shows `certificate` and `key`.
fn server_with(options: &[String]) -> Postgres {
    Postgres::start_with(&options.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

fn with(postgres: &Postgres, host: &str, mode: &str, ca_file: Option<&str>) -> PostgreSqlSettings {
    let port = postgres.port().to_string();
    let mut entries =
        vec![("postgresql-port", port.as_str()), ("postgresql-host", host), ("postgresql-ssl-mode", mode)];
    entries.extend(ca_file.map(|file| ("postgresql-ssl-ca-file", file)));
    settings(&entries)
}

#[tokio::test(flavor = "multi_thread")]
async fn ssl_modes_check_what_they_say() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let options = authority.server_options("localhost");
    let postgres = server_with(&options);
    let (own, other) = (authority.ca_file(), stranger.ca_file());
    let with = |host, mode, ca_file: Option<&str>| with(&postgres, host, mode, ca_file);
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

/// Set for the test below where it runs itself again in another environment.
const AGAIN: &str = "PAC_TEST_IN_ANOTHER_ENVIRONMENT";

/// The system's authorities and libpq's variables are the environment's, so the test runs itself again in one that has them.
#[tokio::test(flavor = "multi_thread")]
async fn neither_the_systems_authorities_nor_libpqs_variables_have_a_part_where_settings_say_who_is_trusted() {
    if let Ok(told) = std::env::var(AGAIN) {
        let [port, own, other] = told.split('|').collect::<Vec<_>>()[..] else { panic!("{told}") };
        let with = |ca_file: Option<&str>| {
            let mut entries = vec![("postgresql-port", port), ("postgresql-host", "localhost")];
            entries.push(("postgresql-ssl-mode", "verify-full"));
            entries.extend(ca_file.map(|file| ("postgresql-ssl-ca-file", file)));
            settings(&entries)
        };
        PgDriver::connect(&with(None)).await.expect("the system trusts it").check().await.unwrap();
        PgDriver::connect(&with(Some(own))).await.unwrap();
        let (kind, text) = refused(&with(Some(other))).await;
        assert!(kind == "rejected" && text.contains("postgresql-ssl-ca-file"), "{text}");
        return;
    }
    let (authority, stranger) = (Authority::new(), Authority::new());
    let postgres = server_with(&authority.server_options("localhost"));
    let again = format!("{}|{}|{}", postgres.port(), authority.ca_file(), stranger.ca_file());
    let name = "neither_the_systems_authorities_nor_libpqs_variables_have_a_part_where_settings_say_who_is_trusted";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(AGAIN, again)
        .env("SSL_CERT_FILE", authority.ca_file())
        .envs([("PGOPTIONS", "-c default_transaction_read_only=on"), ("PGSSLROOTCERT", "/none"), ("PGHOST", "nobody")])
        .envs([("PGSSLCERT", "/none"), ("PGSSLKEY", "/none"), ("PGSSLMODE", "disable"), ("PGPASSWORD", "wrong")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_checked_is_no_obstacle_where_none_is_and_is_named_where_it_is() {
    let authority = Authority::new();
    let own = authority.ca_file();
    for (options, named) in [
        (authority.server_of_version_1("localhost"), "X.509 version 1"),
        (authority.server_with_key_of("localhost", &["ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"]), "P-521"),
    ] {
        let postgres = server_with(&options);
        PgDriver::connect(&with(&postgres, "localhost", "require", None)).await.unwrap();
        for mode in ["verify-ca", "verify-full"] {
            let (kind, text) = refused(&with(&postgres, "localhost", mode, Some(&own))).await;
            assert!(kind == "rejected" && text.contains(named), "{named} with {mode}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_certificate_gets_ours_and_a_renewed_one_next_time() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut options = authority.server_options("localhost").to_vec();
    options.push(format!("ssl_ca_file={}", authority.ca_file()));
    options.push(format!("hba_file={}", authority.hba_file("hostssl all all 127.0.0.1/32 cert")));
    let postgres = server_with(&options);
    let without = PostgreSqlSettings { password: None, ..with(&postgres, "127.0.0.1", "require", None) };
    let (kind, text) = refused(&without).await;
    assert!(kind == "rejected" && text.contains("postgresql-ssl-cert-file"), "{text}");
    let (cert_file, key_file) = authority.client_files("somebody");
    let port = postgres.port().to_string();
    let settings = settings(&[
        ("postgresql-port", port.as_str()),
        ("postgresql-host", "localhost"),
        ("postgresql-ssl-mode", "verify-full"),
        ("postgresql-ssl-ca-file", &authority.ca_file()),
        ("postgresql-ssl-cert-file", &cert_file),
        ("postgresql-ssl-key-file", &key_file),
    ]);
    let settings = PostgreSqlSettings { password: None, ..settings };
    let (kind, text) = refused(&settings).await;
    assert!(kind == "rejected" && text.contains("authentication failed for user \"pac_user\""), "{text}");
    // Renewed in their place, as cert-manager does.
    let replace = |authority: &Authority, name: &str| {
        let (certificate, key) = authority.client_files(name);
        std::fs::copy(certificate, &cert_file).unwrap();
        std::fs::copy(key, &key_file).unwrap();
    };
    replace(&authority, "pac_user");
    PgDriver::connect(&settings).await.unwrap().check().await.unwrap();
    replace(&stranger, "pac_user");
    let (kind, text) = refused(&settings).await;
    assert!(kind == "rejected" && text.contains("refuses the certificate of this watcher"), "{text}");
    std::fs::write(&key_file, authority.client_key()).unwrap();
    let (kind, text) = refused(&settings).await;
    assert!(kind == "rejected" && text.contains("postgresql-ssl-key-file: certificate and private key"), "{text}");
}
