//! From one store to another, with every slot and place.

use crate::delta::Delta;
use crate::driver::Driver;
use crate::error::{DriverError, Fault};
use crate::key::RepositoryKey;
use crate::lease::Holder;
use crate::order::Entry;
use crate::snapshot::{Snapshot, Version, Window};

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

/// Copies all that `from` holds into `to`, and reads it back. Nobody may admit through either meanwhile.
///
/// What `to` already has stays, so that a copy that broke off can simply be made again. Slots come without a lease: the
/// manager that works on `to` next claims them. An error leaves `from` as it was and `to` with a part of it.
pub async fn relocate(from: &dyn Driver, to: &dyn Driver) -> Result<Relocated, DriverError> {
    let mover = Holder::new("relocation");
    let mut relocated = Relocated::default();
    for repository in from.repositories().await?.keys {
        let snapshot = from.load(&repository, Window::Whole).await?;
        if snapshot.slots.is_empty() && snapshot.waiting.is_empty() {
            continue;
        }
        copy(&repository, &snapshot, to, &mover).await?;
        relocated.repositories += 1;
        relocated.slots += snapshot.slots.len();
        relocated.waiting += snapshot.waiting.len();
    }
    Ok(relocated)
}

async fn copy(repository: &RepositoryKey, from: &Snapshot, to: &dyn Driver, mover: &Holder) -> Result<(), DriverError> {
    let version = to.load(repository, Window::First(0)).await?.version;
    let held = from.slots.values().map(|slot| slot.entry.clone());
    let delta = Delta { enqueue: from.waiting.iter().cloned().collect(), hold: held.collect(), ..Delta::default() };
    to.commit(repository, version, mover, &delta).await?;
    let copied = to.load(repository, Window::Whole).await?;
    let has = |entry: &Entry| copied.slots.contains_key(&entry.run) || copied.waiting.contains(entry);
    let complete = copied.version != Version::NONE
        && from.slots.keys().all(|run| copied.slots.contains_key(run))
        && from.waiting.iter().all(has);
    if complete {
        return Ok(());
    }
    let what = format!("what was copied of repository {repository} isn't what the new store has");
    Err(DriverError::Corrupt(Fault::new(what)))
}
