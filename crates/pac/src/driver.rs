//! The one place that knows all drivers.

use std::sync::Arc;

use async_trait::async_trait;
use pac_concurrency::{Driver, DriverError};
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
    async fn connect(&self, settings: &DriverSettings) -> Result<Arc<dyn Driver>, DriverError> {
        Ok(match settings {
            DriverSettings::Memory(memory) => Arc::new(MemDriver::new(memory.lease_ttl)),
            DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => {
                warn!(
                    "etcd-mode {}: slots and queues are kept in this process's memory, not in etcd; for trials only",
                    etcd.mode.name()
                );
                Arc::new(MemDriver::new(etcd.effective_lease_ttl()))
            }
            DriverSettings::PostgreSql(postgresql) => Arc::new(PgDriver::connect(postgresql).await?),
            DriverSettings::Etcd(etcd) => Arc::new(EtcdDriver::connect(etcd).await?),
        })
    }
}
