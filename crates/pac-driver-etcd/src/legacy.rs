//! What an earlier implementation left in etcd, which is read and never changed.
//!
//! | key | it said |
//! | --- | --- |
//! | `/pac/leases/<ns>/<repo>/<run ns>/<run>` | the run has a slot, for an hour at a time |
//! | `/pac/concurrency/<ns>/<repo>/queue/<run ns>/<run>` | the run waits, or once did: these were never deleted |
//! | `/pac/concurrency/<ns>/<name>/state` | the state of a repository or a run; nothing that the others don't say |
//!
//! The order is that in which the keys were created. A namespace called `v2` had its queues where ours are now; they are
//! not looked for.

use std::collections::BTreeMap;

use async_trait::async_trait;
use etcd_client::{GetOptions, GetResponse, KeyValue};
use pac_concurrency::{
    CorruptRecord, DriverError, Legacy, LegacyImport, LegacyRepository, LegacySource, RepositoryKey,
};
use serde::Serialize;
use tracing::warn;

use crate::driver::EtcdDriver;
use crate::load::corrupt;
use crate::records;
use crate::store::Store;

const LEASES: &str = "/pac/leases/";
const QUEUES: &str = "/pac/concurrency/";
/// What the name of a namespace that is ours would be.
const OURS: &str = "v2";
/// Where it is noted that all of it was taken over.
pub(crate) const NOTE: &str = "/pac/concurrency/v2/legacy";
/// Keys read at once.
const PAGE: i64 = 5_000;

/// What is noted.
#[derive(Serialize)]
struct Note {
    slots: usize,
    waiting: usize,
    ghosts: usize,
}

/// The repository and the run (`namespace/name`) a key is about, or why it is about none.
type Parsed = Result<(RepositoryKey, String), String>;

/// A run that was left, and when its key was made.
struct LeftRun {
    created: i64,
    repository: RepositoryKey,
    run: String,
}

#[async_trait]
impl LegacySource for EtcdDriver {
    async fn read(&self) -> Result<Option<Legacy>, DriverError> {
        legacy(&self.store).await
    }

    async fn note_imported(&self, imported: &LegacyImport) -> Result<(), DriverError> {
        let note = Note { slots: imported.slots, waiting: imported.waiting, ghosts: imported.ghosts };
        let value = records::write(&note);
        let noted = self.store.cluster.write(|session| {
            let value = value.clone();
            async move { session.kv().put(NOTE, value, None).await }
        });
        noted.await.map(drop)
    }
}

/// All that was left, unless it was taken over already.
async fn legacy(store: &Store) -> Result<Option<Legacy>, DriverError> {
    if !get(store, NOTE.to_owned(), GetOptions::new()).await?.kvs().is_empty() {
        return Ok(None);
    }
    let mut legacy = Legacy { source: format!("etcd keys under {LEASES} and {QUEUES}"), ..Legacy::default() };
    // All but our own, of which there may be many.
    let queues = [(QUEUES, "/pac/concurrency/v2/"), ("/pac/concurrency/v20", "/pac/concurrency0")];
    let running = readable(left(store, &[(LEASES, "/pac/leases0")], lease_key, &mut legacy.corrupt).await, LEASES)?;
    let queued = readable(left(store, &queues, queue_key, &mut legacy.corrupt).await, QUEUES)?;
    let (Some(running), Some(queued)) = (running, queued) else { return Ok(None) };
    let mut repositories: BTreeMap<RepositoryKey, LegacyRepository> = BTreeMap::new();
    let mut of = |left: LeftRun, list: fn(&mut LegacyRepository) -> &mut Vec<String>| {
        let key = left.repository;
        let new = || LegacyRepository { repository: key.clone(), running: Vec::new(), queued: Vec::new() };
        list(repositories.entry(key.clone()).or_insert_with(new)).push(left.run);
    };
    running.into_iter().for_each(|left| of(left, |repository| &mut repository.running));
    queued.into_iter().for_each(|left| of(left, |repository| &mut repository.queued));
    legacy.repositories = repositories.into_values().collect();
    let nothing = legacy.repositories.is_empty() && legacy.corrupt.is_empty();
    Ok((!nothing).then_some(legacy))
}

/// What was left under `prefix`; none if we may not read there. A user of ours alone may not, and an administrator who made
/// such a user knows whether there is anything.
fn readable(left: Result<Vec<LeftRun>, DriverError>, prefix: &str) -> Result<Option<Vec<LeftRun>>, DriverError> {
    match left {
        Err(DriverError::Rejected(_)) => {
            warn!(
                "the etcd user may not read what an earlier version left under {prefix}, if there is anything, and so it is not taken \
                 over; if it was in use here, stop the watchers, and before they start again run: etcdctl role grant-permission \
                 ROLE --prefix=true read {prefix}"
            );
            Ok(None)
        }
        left => left.map(Some),
    }
}

/// The runs of all keys in `ranges`, in the order they were created. `parse` says nothing of keys that are no run's.
async fn left(
    store: &Store,
    ranges: &[(&str, &str)],
    parse: fn(&[&str]) -> Option<Parsed>,
    unreadable: &mut Vec<CorruptRecord>,
) -> Result<Vec<LeftRun>, DriverError> {
    let mut runs = Vec::new();
    for (from, end) in ranges {
        for pair in keys(store, from, end).await? {
            let text = String::from_utf8_lossy(pair.key()).into_owned();
            let parts: Vec<&str> = text.split('/').skip(3).collect();
            match parse(&parts) {
                Some(Ok((repository, run))) => {
                    runs.push(LeftRun { created: pair.create_revision(), repository, run });
                }
                Some(Err(why)) => unreadable.push(corrupt(pair.key(), why)),
                None => {}
            }
        }
    }
    runs.sort_by_key(|left| left.created);
    Ok(runs)
}

/// The parts of a key after `/pac/leases/`.
fn lease_key(parts: &[&str]) -> Option<Parsed> {
    match parts {
        [namespace, repository, run_namespace, run] => Some(run_of(namespace, repository, run_namespace, run)),
        _ => Some(Err(format!("the key has {} parts, not 4", parts.len()))),
    }
}

/// The parts of a key after `/pac/concurrency/`.
fn queue_key(parts: &[&str]) -> Option<Parsed> {
    match parts {
        [OURS, ..] => None,
        [namespace, repository, "queue", run_namespace, run] => Some(run_of(namespace, repository, run_namespace, run)),
        [_, _, "state"] => None,
        _ => Some(Err("it is neither a queue's key nor a state's".to_owned())),
    }
}

fn run_of(namespace: &str, repository: &str, run_namespace: &str, run: &str) -> Parsed {
    let repository = RepositoryKey::new(namespace, repository).map_err(|error| error.to_string())?;
    Ok((repository, format!("{run_namespace}/{run}")))
}

/// Every key from `from` up to `end`.
async fn keys(store: &Store, from: &str, end: &str) -> Result<Vec<KeyValue>, DriverError> {
    let mut found = Vec::new();
    let mut from = from.as_bytes().to_vec();
    loop {
        let options = GetOptions::new().with_range(end).with_keys_only().with_limit(PAGE);
        let page = get(store, from.clone(), options).await?;
        found.extend_from_slice(page.kvs());
        match page.kvs().last().filter(|_| page.more()) {
            Some(last) => from = [last.key(), &[0]].concat(),
            None => return Ok(found),
        }
    }
}

async fn get(store: &Store, key: impl Into<Vec<u8>> + Send, options: GetOptions) -> Result<GetResponse, DriverError> {
    let key = key.into();
    let got = store.cluster.read(|session| {
        let (key, options) = (key.clone(), options.clone());
        async move { session.kv().get(key, Some(options)).await }
    });
    got.await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart() {
        let key = |text: &'static str| queue_key(&text.split('/').collect::<Vec<_>>());
        let (repository, run) = key("ns/repo/queue/run-ns/run").unwrap().unwrap();
        assert_eq!((repository.as_str(), run.as_str()), ("ns/repo", "run-ns/run"));
        assert!(key("ns/repo/state").is_none());
        assert!(key("v2/queue/queue/repo/1,2,3").is_none());
        assert!(key("ns/repo/queue").unwrap().is_err());
        assert!(key("NS/repo/queue/ns/run").unwrap().is_err());
        assert!(lease_key(&["ns", "repo", "ns"]).unwrap().is_err());
    }
}
