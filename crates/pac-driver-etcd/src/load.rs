//! A repository as etcd has it at one instant.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use etcd_client::{GetOptions, GetResponse, KeyValue, SortOrder, SortTarget, TxnOp};
use pac_concurrency::{CorruptRecord, DriverError, Entry, Holder, RepositoryKey, RunKey, Slot, Snapshot, Window};

use crate::error::is_compacted;
use crate::keys;
use crate::records::{self, Applying, VersionRecord};
use crate::store::{Store, unexpected};

/// Entries of a queue read at once: about half a megabyte.
const PAGE: usize = 2_000;
/// How often to begin again when what is being read is compacted away meanwhile.
const ATTEMPTS: usize = 3;

/// What was loaded.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    /// A staged change that has to be carried out first: the snapshot may show half of it.
    pub(crate) applying: Option<Applying>,
}

/// Loads `repository`: in one round trip, but for queues of more than 2,000 of which more is wanted.
pub(crate) async fn load(store: &Store, repository: &RepositoryKey, window: Window) -> Result<Loaded, DriverError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match load_once(store, repository, window).await {
            Err(error) if is_compacted(&error) && attempts < ATTEMPTS => {}
            loaded => return loaded,
        }
    }
}

async fn load_once(store: &Store, repository: &RepositoryKey, window: Window) -> Result<Loaded, DriverError> {
    let prefix = || GetOptions::new().with_prefix();
    let size = window.size();
    let read = store.read(vec![
        TxnOp::get(keys::version(repository), None),
        TxnOp::get(keys::slots(repository), Some(prefix())),
        TxnOp::get(keys::queue(repository), Some(page(size))),
        TxnOp::get(keys::HOLDERS, Some(prefix().with_keys_only())),
    ]);
    let read = read.await?;
    let [version, slots, queue, holders] = &read.answers[..] else { return Err(unexpected()) };
    let mut reading = Reading::new(repository);
    let applying = reading.version(version.kvs().first());
    reading.slots(slots, &holders.kvs().iter().filter_map(|holder| keys::parse_holder(holder.key())).collect());
    reading.queue(queue, size);
    let mut last = queue.kvs().last().map(|last| last.key().to_vec());
    let mut more = queue.more() && reading.waiting.len() < size;
    while let Some(after) = last.filter(|_| more) {
        let rest = rest_of_queue(store, repository, after, size - reading.waiting.len(), read.revision).await?;
        reading.queue(&rest, size);
        last = rest.kvs().last().map(|last| last.key().to_vec());
        more = rest.more() && reading.waiting.len() < size;
    }
    let count = usize::try_from(queue.count()).unwrap_or(usize::MAX);
    Ok(Loaded { snapshot: reading.finish(store.see(repository, version.kvs().first()), count), applying })
}

/// The entries behind the key `after`, as they were at `revision`.
async fn rest_of_queue(
    store: &Store,
    repository: &RepositoryKey,
    after: Vec<u8>,
    size: usize,
    revision: i64,
) -> Result<GetResponse, DriverError> {
    let mut from = after;
    from.push(0);
    let mut end = keys::queue(repository).into_bytes();
    // The first key that doesn't begin with the queue's: they all end with a slash.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    let options = page(size).with_range(end).with_revision(revision);
    let rest = store.cluster.read(|session| {
        let (from, options) = (from.clone(), options.clone());
        async move { session.kv().get(from, Some(options)).await }
    });
    rest.await
}

fn page(size: usize) -> GetOptions {
    // A limit of 0 would be none.
    let limit = i64::try_from(size.clamp(1, PAGE)).unwrap_or(i64::MAX);
    GetOptions::new().with_prefix().with_keys_only().with_limit(limit).with_sort(SortTarget::Key, SortOrder::Ascend)
}

/// A snapshot in the making.
struct Reading<'r> {
    repository: &'r RepositoryKey,
    slots: BTreeMap<RunKey, Slot>,
    waiting: BTreeSet<Entry>,
    /// The runs of `waiting`.
    runs: HashSet<RunKey>,
    corrupt: Vec<CorruptRecord>,
    /// Keys of the queue that are no entries of it.
    not_waiting: usize,
}

// === impl Reading ===

impl<'r> Reading<'r> {
    fn new(repository: &'r RepositoryKey) -> Self {
        Self {
            repository,
            slots: BTreeMap::new(),
            waiting: BTreeSet::new(),
            runs: HashSet::new(),
            corrupt: Vec::new(),
            not_waiting: 0,
        }
    }

    fn version(&mut self, key: Option<&KeyValue>) -> Option<Applying> {
        match records::parse::<VersionRecord>(key?.value()) {
            Ok(record) => record.applying,
            Err(why) => {
                self.corrupt.push(corrupt(key?.key(), why));
                None
            }
        }
    }

    fn slots(&mut self, answer: &GetResponse, living: &HashSet<Holder>) {
        let prefix = keys::slots(self.repository);
        for pair in answer.kvs() {
            let slot = keys::parse_run(&prefix, pair.key()).and_then(|run| {
                let (order, holder) = records::parse_slot(pair.value())?;
                Ok(Slot { lapsed: !living.contains(&holder), entry: Entry::new(run, order), holder })
            });
            match slot {
                Ok(slot) => drop(self.slots.insert(slot.entry.run.clone(), slot)),
                Err(why) => self.corrupt.push(corrupt(pair.key(), why)),
            }
        }
    }

    fn queue(&mut self, answer: &GetResponse, size: usize) {
        let prefix = keys::queue(self.repository);
        for pair in answer.kvs() {
            let entry = keys::parse_waiting(&prefix, pair.key()).and_then(|entry| {
                if self.slots.contains_key(&entry.run) {
                    return Err("the run has a slot".to_owned());
                }
                if self.runs.contains(&entry.run) { Err("the run waits twice".to_owned()) } else { Ok(entry) }
            });
            match entry {
                Ok(entry) if self.waiting.len() < size => {
                    self.runs.insert(entry.run.clone());
                    self.waiting.insert(entry);
                }
                Ok(_) => {}
                Err(why) => {
                    self.not_waiting += 1;
                    self.corrupt.push(corrupt(pair.key(), why));
                }
            }
        }
    }

    fn finish(self, version: pac_concurrency::Version, keys_in_queue: usize) -> Snapshot {
        let waiting_count = keys_in_queue.saturating_sub(self.not_waiting).max(self.waiting.len());
        Snapshot {
            version,
            slots: self.slots,
            whole: self.waiting.len() == waiting_count,
            waiting: self.waiting,
            waiting_count,
            corrupt: self.corrupt,
        }
    }
}

pub(crate) fn corrupt(key: &[u8], why: String) -> CorruptRecord {
    CorruptRecord { place: format!("etcd key {}", String::from_utf8_lossy(key).escape_debug()), why }
}
