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
    again_if_compacted(|| load_once(store, repository, window)).await
}

async fn again_if_compacted<T, F>(mut load: impl FnMut() -> F) -> Result<T, DriverError>
where
    F: Future<Output = Result<T, DriverError>>,
{
    for _ in 1..ATTEMPTS {
        match load().await {
            Err(error) if is_compacted(&error) => {}
            loaded => return loaded,
        }
    }
    load().await
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
    reading.queue(queue);
    let mut end = end_of_page(queue);
    while let Some(after) = end.filter(|_| reading.waiting.len() < size) {
        let rest = rest_of_queue(store, repository, after, size - reading.waiting.len(), read.revision).await?;
        reading.queue(&rest);
        end = end_of_page(&rest);
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
    let options = GetOptions::new().with_prefix();
    match i64::try_from(size.min(PAGE)).unwrap_or(i64::MAX) {
        // A limit of 0 would be none.
        0 => options.with_count_only(),
        limit => options.with_keys_only().with_limit(limit).with_sort(SortTarget::Key, SortOrder::Ascend),
    }
}

/// The last key of `page`, if there are more behind it.
fn end_of_page(page: &GetResponse) -> Option<Vec<u8>> {
    page.kvs().last().filter(|_| page.more()).map(|last| last.key().to_vec())
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

    fn queue(&mut self, answer: &GetResponse) {
        let prefix = keys::queue(self.repository);
        for pair in answer.kvs() {
            let entry = keys::parse_waiting(&prefix, pair.key()).and_then(|entry| {
                if self.slots.contains_key(&entry.run) {
                    return Err("the run has a slot".to_owned());
                }
                if self.runs.contains(&entry.run) { Err("the run waits twice".to_owned()) } else { Ok(entry) }
            });
            match entry {
                Ok(entry) => {
                    self.runs.insert(entry.run.clone());
                    self.waiting.insert(entry);
                }
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

#[cfg(test)]
mod tests {
    use pac_concurrency::Fault;
    use tonic::Status;

    use super::*;

    /// How often it is tried, and whether it is loaded in the end, by one who finds it compacted so many times.
    async fn compacted(times: usize) -> (usize, bool) {
        let mut tries = 0;
        let status = || Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        let fault = || Fault::because("can't be read", status());
        let loaded = again_if_compacted(|| {
            tries += 1;
            std::future::ready(if tries > times { Ok(()) } else { Err(DriverError::Unavailable(fault())) })
        });
        let is_loaded = loaded.await.is_ok();
        (tries, is_loaded)
    }

    #[tokio::test]
    async fn what_is_compacted_meanwhile_is_read_again_but_not_for_ever() {
        assert_eq!(compacted(0).await, (1, true));
        assert_eq!(compacted(2).await, (3, true));
        assert_eq!(compacted(usize::MAX).await, (3, false));
    }

    #[tokio::test]
    async fn what_fails_for_another_reason_is_not_read_again() {
        let mut tries = 0;
        let loaded: Result<(), DriverError> = again_if_compacted(|| {
            tries += 1;
            std::future::ready(Err(DriverError::Unavailable(Fault::new("the server is down"))))
        })
        .await;
        assert!(loaded.is_err() && tries == 1, "{tries}");
    }
}
