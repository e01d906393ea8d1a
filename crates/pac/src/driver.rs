//! The one place that knows all drivers.

use std::sync::Arc;

use async_trait::async_trait;
use pac_concurrency::{Capabilities, ConnectedStore, DriverError, Inspection, Schema, ServerInfo};
use pac_config::{DriverSettings, EtcdMode};
use pac_driver_etcd::EtcdDriver;
use pac_driver_mem::MemDriver;
use pac_driver_pg::PgDriver;
use pac_watcher::Connect;
use tracing::warn;

/// Makes drivers of settings.
#[derive(Debug)]
pub(crate) struct Drivers;

#[async_trait]
impl Connect for Drivers {
    fn capabilities(&self, settings: &DriverSettings) -> Capabilities {
        match settings {
            DriverSettings::PostgreSql(_) => PgDriver::CAPABILITIES,
            DriverSettings::Etcd(etcd) if etcd.mode == EtcdMode::Etcd => EtcdDriver::CAPABILITIES,
            DriverSettings::Memory(_) | DriverSettings::Etcd(_) => MemDriver::CAPABILITIES,
        }
    }

    async fn connect(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        Ok(match settings {
            DriverSettings::Memory(memory) => Arc::new(MemDriver::new(memory.lease_ttl)).into(),
            DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => {
                warn!(
                    "etcd-mode {}: slots and queues are kept in this process's memory, not in etcd; for trials only",
                    etcd.mode.name()
                );
                Arc::new(MemDriver::new(etcd.effective_lease_ttl())).into()
            }
            DriverSettings::PostgreSql(postgresql) => Arc::new(PgDriver::connect(postgresql).await?).into(),
            DriverSettings::Etcd(etcd) => Arc::new(EtcdDriver::connect(etcd).await?).into(),
        })
    }

    async fn look(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError> {
        Ok(Self::inspect(settings).await?.1)
    }
}

// === impl Drivers ===

impl Drivers {
    /// Looks at the store of `settings` without changing anything there. The store is for reading alone: it migrates
    /// nothing, and finds nothing where there is nothing yet.
    ///
    /// # Errors
    ///
    /// If the server can't be reached or won't have us. A user who may read and not write is no error: the inspection
    /// says so.
    pub(crate) async fn inspect(settings: &DriverSettings) -> Result<(Inspection, ConnectedStore), DriverError> {
        Ok(match settings {
            DriverSettings::PostgreSql(postgresql) => {
                let (inspection, driver) = PgDriver::inspect(postgresql).await?;
                (inspection, Arc::new(driver).into())
            }
            DriverSettings::Etcd(etcd) if etcd.mode == EtcdMode::Etcd => {
                let (inspection, driver) = EtcdDriver::inspect(etcd).await?;
                (inspection, Arc::new(driver).into())
            }
            DriverSettings::Memory(_) | DriverSettings::Etcd(_) => {
                let server = ServerInfo {
                    server: "no server".to_owned(),
                    address: "the memory of the watcher's process".to_owned(),
                };
                let inspection = Inspection { server, schema: Schema::Unneeded, cannot_write: None };
                (inspection, Arc::new(MemDriver::new(settings.lease_ttl())).into())
            }
        })
    }
}
