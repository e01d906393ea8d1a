//! From one store to another, with every slot and place.
//!
//! Several watchers may move the same at once, and one may already work on the new store while another still moves: what is
//! there by then is as it should be, and only what is missing is brought.

use std::collections::BTreeSet;
use std::fmt;

use crate::delta::Delta;
use crate::driver::Driver;
use crate::error::{DriverError, Fault};
use crate::key::{RepositoryKey, RunKey};
use crate::lease::Holder;
use crate::order::Entry;
use crate::snapshot::{Snapshot, Window};

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
    #[error("the old store: {0}")]
    Old(#[source] DriverError),
    /// What is missing there could not be written.
    #[error("the new store: {0}")]
    New(#[source] DriverError),
}

/// How often to begin again with a repository that others change meanwhile.
const ATTEMPTS: usize = 16;

/// Copies all that `from` holds into `to`, and reads it back. Nobody may admit through `from` meanwhile.
///
/// What `to` already has stays, so that a copy that broke off can simply be made again. Slots come without a lease: the
/// manager that works on `to` next claims them. An error leaves `from` as it was and `to` with a part of it.
pub async fn relocate(from: &dyn Driver, to: &dyn Driver) -> Result<Relocated, RelocateError> {
    let mut relocated = Relocated::default();
    for repository in from.repositories().await.map_err(RelocateError::Old)?.keys {
        let snapshot = from.load(&repository, Window::Whole).await.map_err(RelocateError::Old)?;
        if snapshot.slots.is_empty() && snapshot.waiting.is_empty() {
            continue;
        }
        let held = snapshot.slots.values().map(|slot| slot.entry.clone());
        let delta =
            Delta { enqueue: snapshot.waiting.iter().cloned().collect(), hold: held.collect(), ..Delta::default() };
        bring(&repository, &delta, to).await.map_err(RelocateError::New)?;
        relocated.repositories += 1;
        relocated.slots += snapshot.slots.len();
        relocated.waiting += snapshot.waiting.len();
    }
    Ok(relocated)
}

/// Commits to `to` what it lacks of `delta`, which only enqueues and holds, whatever version `repository` is at, and reads it
/// back. Says how many slots and places it lacked.
pub async fn bring(repository: &RepositoryKey, delta: &Delta, to: &dyn Driver) -> Result<(usize, usize), DriverError> {
    let mover = Holder::new("relocation");
    let mut lost = None;
    for _ in 0..ATTEMPTS {
        let there = to.load(repository, Window::Whole).await?;
        let missing = missing(delta, &there);
        if missing.is_empty() {
            return Ok((0, 0));
        }
        match to.commit(repository, there.version, &mover, &missing).await {
            Ok(version) => {
                let copied = to.load(repository, Window::Whole).await?;
                // Whoever changed it since works on it, and what he took away is over.
                if copied.version != version || self::missing(&missing, &copied).is_empty() {
                    return Ok((missing.hold.len(), missing.enqueue.len()));
                }
                let what = format!("what was copied of repository {repository} isn't what the new store has");
                return Err(DriverError::Corrupt(Fault::new(what)));
            }
            Err(error) if error.is_settled_by_loading() => lost = Some(error),
            Err(error) => return Err(error),
        }
    }
    let what = format!("repository {repository} changes too fast in the new store to be copied there");
    Err(lost.map_or(DriverError::Conflict, |error| DriverError::Unavailable(Fault::because(what, error))))
}

/// What of `delta` isn't in `there`.
fn missing(delta: &Delta, there: &Snapshot) -> Delta {
    let waiting: BTreeSet<&RunKey> = there.waiting.iter().map(|entry| &entry.run).collect();
    let has_slot = |entry: &&Entry| there.slots.contains_key(&entry.run);
    let has_place = |entry: &&Entry| waiting.contains(&entry.run);
    Delta {
        enqueue: delta.enqueue.iter().filter(|entry| !has_slot(entry) && !has_place(entry)).cloned().collect(),
        hold: delta.hold.iter().filter(|entry| !has_slot(entry)).cloned().collect(),
        ..Delta::default()
    }
}

// === impl Relocated ===

impl fmt::Display for Relocated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        let (slots, waiting) = (count(self.slots, "slot", "slots"), count(self.waiting, "waiting run", "waiting runs"));
        write!(f, "{slots} and {waiting} of {}", count(self.repositories, "Repository", "Repositories"))
    }
}
