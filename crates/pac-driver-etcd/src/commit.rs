//! A change of one repository as a transaction: which keys to put and which to delete, if it is still at the version.

use etcd_client::TxnOp;
use pac_concurrency::{Delta, DriverError, Holder, RepositoryKey, RunKey, Version};

use crate::keys;
use crate::operation::{OPERATIONS_MAX, Operation};
use crate::placement_cache::{Memory, Moved, Place, PlacementCache};
use crate::records::{self, OrderRecord, SlotRecord, VersionRecord};
use crate::staged;
use crate::store::{Changed, Store, unexpected};
use crate::version_key::version_of;

/// The most runs looked up at once: two questions each, and one for the version.
const LOOKED_UP_AT_ONCE: usize = (OPERATIONS_MAX - 1) / 2;

/// Commits `delta`: in one round trip, if what it touches is known and it fits into one transaction.
pub(crate) async fn commit(
    store: &Store,
    memory: &Memory,
    repository: &RepositoryKey,
    expected: Version,
    holder: &Holder,
    delta: &Delta,
) -> Result<Version, DriverError> {
    let mut known = memory.take(repository, expected);
    for runs in known.missing(delta).chunks(LOOKED_UP_AT_ONCE) {
        look_up(store, repository, expected, runs, &mut known).await?;
    }
    let moved = known.apply(holder, delta);
    let operations: Vec<Operation> = moved.iter().flat_map(|moved| operations(repository, moved)).collect();
    let version = if operations.len() < OPERATIONS_MAX {
        commit_at_once(store, repository, expected, &operations).await?
    } else {
        staged::commit(store, repository, expected, &operations).await?
    };
    memory.keep(repository, version, known);
    Ok(version)
}

async fn commit_at_once(
    store: &Store,
    repository: &RepositoryKey,
    expected: Version,
    operations: &[Operation],
) -> Result<Version, DriverError> {
    let operations = operations.iter().map(Operation::request).collect();
    match store.change(repository, expected, None, operations, Some(VersionRecord::default())).await? {
        Changed::Done(version) => Ok(version),
        Changed::Not(_) => Err(DriverError::Conflict),
    }
}

/// Removes all of `repository`, if it is at `expected`.
pub(crate) async fn forget(store: &Store, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
    let all = [keys::slots(repository), keys::places(repository), keys::queue(repository), keys::staged(repository)];
    let all = all.map(|prefix| TxnOp::delete(prefix, Some(etcd_client::DeleteOptions::new().with_prefix())));
    let operations = all
        .into_iter()
        .chain([keys::past(repository), keys::version(repository)].map(|key| TxnOp::delete(key, None)))
        .collect();
    match store.change(repository, expected, None, operations, None).await? {
        Changed::Done(_) => Ok(()),
        Changed::Not(_) => Err(DriverError::Conflict),
    }
}

async fn look_up(
    store: &Store,
    repository: &RepositoryKey,
    expected: Version,
    runs: &[&RunKey],
    known: &mut PlacementCache,
) -> Result<(), DriverError> {
    let places = runs.iter().flat_map(|run| [keys::slot(repository, run), keys::place(repository, run)]);
    let questions = [keys::version(repository)].into_iter().chain(places).map(|key| TxnOp::get(key, None));
    let read = store.read(questions.collect()).await?;
    let (version, places) = read.answers.split_first().ok_or_else(unexpected)?;
    if version_of(version.kvs().first()) != expected {
        return Err(DriverError::Conflict);
    }
    for (run, answers) in runs.iter().zip(places.chunks(2)) {
        // A record that can't be read is as good as none: loading reports it, and the next write replaces it.
        let value = |at: usize| answers.get(at).and_then(|answer| answer.kvs().first()).map(|pair| pair.value());
        let held = value(0).and_then(|slot| records::parse_slot(slot).ok());
        let waiting = value(1).and_then(|place| records::parse_order(place).ok());
        let place = match (held, waiting) {
            (Some((order, holder)), _) => Place::Held(order, holder),
            (None, Some(order)) => Place::Waiting(order),
            (None, None) => Place::Absent,
        };
        known.learn((*run).clone(), place);
    }
    Ok(())
}

/// What moving one run changes: its keys where it was go, those where it is come.
fn operations(repository: &RepositoryKey, moved: &Moved) -> Vec<Operation> {
    let pairs = |place: &Place| match place {
        Place::Absent => Vec::new(),
        Place::Waiting(order) => vec![
            (keys::waiting(repository, &moved.run, *order), String::new()),
            (keys::place(repository, &moved.run), records::write(&OrderRecord::from(*order))),
        ],
        Place::Held(order, holder) => {
            vec![(keys::slot(repository, &moved.run), records::write(&SlotRecord::new(*order, holder)))]
        }
    };
    let (from, to) = (pairs(&moved.from), pairs(&moved.to));
    let stays = |key: &String| to.iter().any(|(kept, _)| kept == key);
    let mut operations: Vec<Operation> =
        from.into_iter().filter(|(key, _)| !stays(key)).map(|(key, _)| Operation::Delete { key }).collect();
    operations.extend(to.into_iter().map(|(key, value)| Operation::Put { key, value }));
    operations
}
