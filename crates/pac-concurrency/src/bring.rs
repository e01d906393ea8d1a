//! Slots and places that a store lacks, brought there whatever else it has.

use std::collections::BTreeSet;

use crate::delta::Delta;
use crate::driver::Driver;
use crate::error::{DriverError, Fault};
use crate::key::{RepositoryKey, RunKey};
use crate::lease::Holder;
use crate::order::Entry;
use crate::snapshot::{Snapshot, Window};

/// How often to begin again with a repository that others change meanwhile.
const ATTEMPTS: usize = 16;

/// Commits to `to` what it lacks of `delta`, which only enqueues and holds, whatever version `repository` is at, and reads it
/// back. Says how many slots and places it lacked.
pub(crate) async fn bring(
    repository: &RepositoryKey,
    delta: &Delta,
    to: &dyn Driver,
) -> Result<(usize, usize), DriverError> {
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
