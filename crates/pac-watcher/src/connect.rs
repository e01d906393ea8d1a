//! What this crate asks of drivers before it has one.

use async_trait::async_trait;
use pac_concurrency::{Capabilities, ConnectedStore, DriverError};
use pac_config::DriverSettings;

/// Makes drivers of settings. The binary knows them all; this crate knows none.
#[async_trait]
pub trait Connect: Send + Sync + 'static {
    /// What the store of `settings` can do, known before it is reached.
    fn capabilities(&self, settings: &DriverSettings) -> Capabilities;

    /// The store of `settings`, fit for use.
    ///
    /// # Errors
    ///
    /// If it can't be reached, won't have us or can't be written to.
    async fn connect(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError>;

    /// The store of `settings` for reading: connecting changes nothing there.
    ///
    /// # Errors
    ///
    /// If it can't be reached or won't have us.
    async fn look(&self, settings: &DriverSettings) -> Result<ConnectedStore, DriverError>;
}
