//! A server for a test, and drivers on it.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that can't have its server fails"
)]

mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::Harness;
use pac_config::{DriverSettings, PostgreSqlSettings, Sources, resolve};
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_driver_pg::PgDriver;

pub(crate) use self::tls::Authority;

/// A server with the guide's database and user.
pub(crate) struct Server {
    pub(crate) postgres: Postgres,
}

// === impl Server ===

impl Server {
    pub(crate) fn start() -> Self {
        Self { postgres: Postgres::start().unwrap() }
    }

    /// The settings a watcher would have, with short leases.
    pub(crate) fn settings(&self) -> PostgreSqlSettings {
        settings(&[("postgresql-port", &self.postgres.port().to_string())])
    }

    /// The same by way of another port, such as a proxy's.
    pub(crate) fn settings_at(&self, port: u16) -> PostgreSqlSettings {
        settings(&[("postgresql-port", &port.to_string())])
    }

    pub(crate) async fn connect(&self) -> PgDriver {
        PgDriver::connect(&self.settings()).await.unwrap()
    }

    /// What `statement` answers in the database, asked as the superuser.
    pub(crate) fn ask(&self, statement: &str) -> String {
        self.postgres.administer_in("pac_concurrency", statement).unwrap()
    }
}

#[async_trait]
impl Harness for Server {
    async fn driver(&self) -> Arc<dyn Driver> {
        let settings = PostgreSqlSettings { lease_ttl: Duration::from_secs(1), ..self.settings() };
        Arc::new(PgDriver::connect(&settings).await.unwrap())
    }
}

/// Settings as a ConfigMap with `entries` has them, for a server without TLS on loopback unless they say otherwise.
pub(crate) fn settings(entries: &[(&str, &str)]) -> PostgreSqlSettings {
    let general = [
        ("concurrency-enabled", "true"),
        ("concurrency-driver", "postgresql"),
        ("postgresql-host", "127.0.0.1"),
        ("postgresql-ssl-mode", "disable"),
        ("postgresql-password", PASSWORD),
    ];
    let entries: BTreeMap<&str, &str> = general.iter().chain(entries).copied().collect();
    let resolved = resolve(&Sources::new().with_config_map("pipelines-as-code", entries), &pac_config::Disk).unwrap();
    match resolved.settings.driver {
        DriverSettings::PostgreSql(settings) => settings,
        other => unreachable!("{other:?}"),
    }
}

/// What connecting with these settings fails with: the kind of error, and all of its words.
pub(crate) async fn refused(settings: &PostgreSqlSettings) -> (&'static str, String) {
    let error = PgDriver::connect(settings).await.expect_err("it connected");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (error.kind(), text)
}
