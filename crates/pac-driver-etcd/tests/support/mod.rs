//! Servers for a test, and drivers on them.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that can't have its server fails"
)]

mod race;
mod server;
mod tls;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::Harness;
use pac_config::{DriverSettings, EtcdSettings, Sources, resolve};
use pac_driver_etcd::EtcdDriver;

pub(crate) use self::race::Race;
pub(crate) use self::server::{Cluster, Options};
pub(crate) use self::tls::Authority;
pub(crate) use self::work::{
    LARGE, PATIENCE, commit_eventually, connect_through, enqueue, entry, eventually, hold, large, repository, whole,
};

#[async_trait]
impl Harness for Cluster {
    async fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.connect().await)
    }
}

impl Cluster {
    /// The settings a watcher would have, with leases as short as etcd has them.
    pub(crate) fn settings(&self) -> EtcdSettings {
        settings(&[("etcd-endpoints", &self.endpoints())])
    }

    pub(crate) async fn connect(&self) -> EtcdDriver {
        EtcdDriver::connect(&self.settings()).await.unwrap()
    }
}

/// Settings as a ConfigMap with `entries` has them, but for leases of 2 s, which is as short as etcd has them.
pub(crate) fn settings(entries: &[(&str, &str)]) -> EtcdSettings {
    let general = [("concurrency-enabled", "true"), ("concurrency-driver", "etcd")];
    let entries: BTreeMap<&str, &str> = general.iter().chain(entries).copied().collect();
    let resolved = resolve(&Sources::new().with_config_map("pipelines-as-code", entries), &pac_config::Disk).unwrap();
    match resolved.settings.driver {
        DriverSettings::Etcd(settings) => EtcdSettings { lease_ttl: Duration::from_secs(2), ..settings },
        other => unreachable!("{other:?}"),
    }
}

/// What connecting with these settings fails with: the kind of error, and all of its words.
pub(crate) async fn refused(settings: &EtcdSettings) -> (&'static str, String) {
    let error = EtcdDriver::connect(settings).await.expect_err("it connected");
    (error.kind(), words(&error))
}

/// All that an error and its causes say.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
