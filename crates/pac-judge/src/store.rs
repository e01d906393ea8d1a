//! A real server, what can be done to it, and drivers on it.

use std::sync::Arc;

use anyhow::{Result, bail};
use pac_concurrency::Driver;
use pac_config::{Disk, DriverSettings, Sources, keys, resolve};
use pac_devservers::clock::Clock;
use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_driver_etcd::EtcdDriver;
use pac_driver_pg::PgDriver;

use crate::options::StoreKind;

/// A server of one's own.
#[derive(Debug)]
pub(crate) enum Server {
    PostgreSql(Postgres, Clock),
    Etcd(Etcd),
}

// === impl Server ===

impl Server {
    /// Starts one.
    ///
    /// # Errors
    ///
    /// If what it takes isn't there, with the command that brings it.
    pub(crate) fn start(kind: StoreKind) -> Result<Self> {
        match kind {
            StoreKind::Postgresql => {
                let clock = Clock::start()?;
                // It needn't wait for the disk, and begins anew in no time: a killed process takes nothing from the kernel that it wrote.
                let mut postgres = Postgres::start_with(&["fsync=off"])?;
                postgres.set_environment(clock.environment());
                postgres.restart()?;
                Ok(Self::PostgreSql(postgres, clock))
            }
            StoreKind::Etcd => Ok(Self::Etcd(Etcd::start()?)),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::PostgreSql(postgres, _) => postgres.port(),
            Self::Etcd(etcd) => etcd.port(),
        }
    }

    /// With SIGKILL, all of its processes.
    pub(crate) fn kill(&mut self) -> Result<()> {
        match self {
            Self::PostgreSql(postgres, _) => postgres.kill(),
            Self::Etcd(etcd) => etcd.kill(),
        }
    }

    pub(crate) fn restart(&mut self) -> Result<()> {
        match self {
            Self::PostgreSql(postgres, _) => postgres.restart(),
            Self::Etcd(etcd) => etcd.restart(),
        }
    }

    /// By SIGSTOP, until [`Server::resume`].
    pub(crate) fn pause(&self) -> Result<()> {
        match self {
            Self::PostgreSql(postgres, _) => postgres.pause(),
            Self::Etcd(etcd) => etcd.pause(),
        }
    }

    pub(crate) fn resume(&self) -> Result<()> {
        match self {
            Self::PostgreSql(postgres, _) => postgres.resume(),
            Self::Etcd(etcd) => etcd.resume(),
        }
    }

    /// Its clock, if it can be set: Go's programs don't ask the C library for the time, so that nothing can come in between.
    pub(crate) fn clock(&self) -> Option<&Clock> {
        match self {
            Self::PostgreSql(_, clock) => Some(clock),
            Self::Etcd(_) => None,
        }
    }
}

/// A driver as a watcher has it, but that it doesn't wait long for a connection, on the server or servers at `ports`.
///
/// # Errors
///
/// If it can't connect.
pub async fn connect(kind: StoreKind, ports: &[u16]) -> Result<Arc<dyn Driver>> {
    let joined = |texts: Vec<String>| texts.join(",");
    let hosts = joined(vec!["127.0.0.1".to_owned(); ports.len()]);
    let endpoints = joined(ports.iter().map(|port| format!("127.0.0.1:{port}")).collect());
    let ports = joined(ports.iter().map(u16::to_string).collect());
    let entries = match kind {
        StoreKind::Postgresql => vec![
            (&keys::CONCURRENCY_DRIVER, kind.name()),
            (&keys::POSTGRESQL_HOST, hosts.as_str()),
            (&keys::POSTGRESQL_PORT, &ports),
            (&keys::POSTGRESQL_SSL_MODE, "disable"),
            (&keys::POSTGRESQL_PASSWORD, PASSWORD),
            (&keys::POSTGRESQL_MAX_CONNECTIONS, "4"),
            (&keys::POSTGRESQL_CONNECTION_TIMEOUT, "5s"),
        ],
        StoreKind::Etcd => vec![
            (&keys::CONCURRENCY_DRIVER, kind.name()),
            (&keys::ETCD_ENDPOINTS, &endpoints),
            (&keys::ETCD_DIAL_TIMEOUT, "5s"),
        ],
    };
    let resolved = resolve(&Sources::new().with_config_map("judge", entries), &Disk)?;
    match resolved.settings.driver {
        DriverSettings::PostgreSql(settings) => Ok(Arc::new(PgDriver::connect(&settings).await?)),
        DriverSettings::Etcd(settings) => Ok(Arc::new(EtcdDriver::connect(&settings).await?)),
        DriverSettings::Memory(_) => bail!("memory has no server"),
    }
}
