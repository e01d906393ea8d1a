//! From one store to another, with every slot and place.
//!
//! Several watchers may move the same at once, and one may already work on the new store while another still moves: what is
//! there by then is as it should be, and only what is missing is brought.

use std::fmt;

use crate::connected::ConnectedStore;
use crate::delta::Delta;
use crate::error::DriverError;
use crate::snapshot::Window;

/// What was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Relocated {
    /// Repositories that had a slot or someone waiting.
    pub repositories: usize,
    /// Slots.
    pub slots: usize,
    /// Runs waiting.
    pub waiting: usize,
}

/// Which of the two stores a move failed at.
#[derive(Debug, thiserror::Error)]
pub enum RelocateError {
    /// What is there could not be read.
    #[error("the old store")]
    Old(#[source] DriverError),
    /// What is missing there could not be written.
    #[error("the new store")]
    New(#[source] DriverError),
}

/// Copies all that `from` holds into `to`, and reads it back. Nobody may admit through `from` meanwhile.
///
/// What `to` already has stays, so that a copy that broke off can simply be made again. Slots come without a lease: the
/// manager that works on `to` next claims them. An error leaves `from` as it was and `to` with a part of it.
pub async fn relocate(from: &ConnectedStore, to: &ConnectedStore) -> Result<Relocated, RelocateError> {
    let mut relocated = Relocated::default();
    for repository in from.repositories().await.map_err(RelocateError::Old)?.keys {
        let snapshot = from.look(&repository, Window::Whole).await.map_err(RelocateError::Old)?;
        if snapshot.slots.is_empty() && snapshot.waiting.is_empty() {
            continue;
        }
        let held = snapshot.slots.values().map(|slot| slot.entry.clone());
        let delta =
            Delta { enqueue: snapshot.waiting.iter().cloned().collect(), hold: held.collect(), ..Delta::default() };
        to.bring(&repository, &delta).await.map_err(RelocateError::New)?;
        relocated.repositories += 1;
        relocated.slots += snapshot.slots.len();
        relocated.waiting += snapshot.waiting.len();
    }
    Ok(relocated)
}

// === impl Relocated ===

impl fmt::Display for Relocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let (slots, waiting) = (count(self.slots, "slot", "slots"), count(self.waiting, "waiting run", "waiting runs"));
        write!(f, "{slots} and {waiting} of {}", count(self.repositories, "Repository", "Repositories"))
    }
}
