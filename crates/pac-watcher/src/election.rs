//! Whether several watchers may be at work with the same settings.

use std::sync::Arc;

use pac_config::Settings;

use crate::connect::Connect;

/// What says so: whether one of several watchers leads, and what the store of their settings can do.
#[derive(Clone)]
pub(crate) struct Election {
    /// Whether only the one that leads admits.
    pub(crate) elected: bool,
    /// Who knows the stores.
    pub(crate) connect: Arc<dyn Connect>,
}

// === impl Election ===

impl Election {
    /// Refuses settings under which watchers that all lead would not know of each other: their store can't be shared.
    ///
    /// # Errors
    ///
    /// The setting that chooses such a store, and what to do.
    pub(crate) fn allows(&self, settings: &Settings) -> Result<(), String> {
        if !settings.enabled || self.elected || self.connect.capabilities(&settings.driver).shared {
            return Ok(());
        }
        let (key, value) = settings.driver.chosen_by();
        Err(format!(
            "{key}: {value} needs leader election, since two watchers can't share a memory and each would admit up to the \
             limit; drop --leader-elect=false or choose another concurrency-driver"
        ))
    }
}
