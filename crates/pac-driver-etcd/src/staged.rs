//! Changes too large for one transaction, whole to whoever looks all the same.
//!
//! 1. The operations are written down under `staged/`, in parts. Nobody looks there yet.
//! 2. One transaction decides: if the repository is at the expected version, its version key says from now on that this
//!    change is being applied. That is the instant at which the change happens.
//! 3. The parts are carried out, in transactions that each ask whether the version key is still the one of step 2.
//! 4. One transaction ends it: a new version, and nothing staged any more.
//!
//! Whoever loads the repository between 2 and 4 first does 3 and 4 itself, so nobody ever sees half of it, and it is
//! completed even if the one who began is no more. Doing a part twice, or two at it at once, is harmless: what is put and
//! deleted was worked out before, and nothing else changes the repository meanwhile. What is left of a change that was
//! never decided goes when the next one ends, or with the repository.

use etcd_client::{Compare, CompareOp, DeleteOptions, KeyValue, TxnOp};
use pac_concurrency::{DriverError, Fault, RepositoryKey, Version};
use uuid::Uuid;

use crate::keys;
use crate::operation::{OPERATIONS_MAX, Operation};
use crate::records::{self, Applying, VersionRecord};
use crate::store::{Changed, Store, unexpected};
use crate::version_key::version_of;

/// Operations in a part: at most half a megabyte with the longest of names, of the 1.5 MB etcd takes at once.
const CHUNK: usize = 400;

/// Commits `operations`, if `repository` is at `expected`.
pub(crate) async fn commit(
    store: &Store,
    repository: &RepositoryKey,
    expected: Version,
    operations: &[Operation],
) -> Result<Version, DriverError> {
    let applying = stage(store, repository, operations).await?;
    let decided = decide(store, repository, expected, &applying).await?;
    // It is decided: whatever goes wrong from here on, it has happened.
    carry_out(store, repository, decided, &applying).await.map_err(|error| match error {
        DriverError::Unavailable(fault) => DriverError::Indeterminate(fault),
        other => other,
    })
}

async fn stage(store: &Store, repository: &RepositoryKey, operations: &[Operation]) -> Result<Applying, DriverError> {
    let id = Uuid::new_v4().simple().to_string();
    let chunks = operations.chunks(CHUNK);
    let applying = Applying { id, chunks: chunks.len() };
    for (number, operations) in chunks.enumerate() {
        let (key, value) = (keys::chunk(repository, &applying.id, number), records::write(&operations));
        let staged = store.cluster.write(|session| {
            let (key, value) = (key.clone(), value.clone());
            async move { session.kv().put(key, value, None).await }
        });
        staged.await.map_err(|error| match error {
            // Nobody looks at what is staged.
            DriverError::Indeterminate(fault) => DriverError::Unavailable(fault),
            other => other,
        })?;
    }
    Ok(applying)
}

async fn decide(
    store: &Store,
    repository: &RepositoryKey,
    expected: Version,
    applying: &Applying,
) -> Result<Version, DriverError> {
    // Another change that ended meanwhile took ours with it: all that was staged by then, so at least the first part.
    let first = keys::chunk(repository, &applying.id, 0);
    let is_staged = Compare::create_revision(first, CompareOp::Greater, 0);
    let record = VersionRecord { applying: Some(applying.clone()), ..VersionRecord::default() };
    match store.change(repository, expected, Some(is_staged), Vec::new(), Some(record)).await? {
        Changed::Done(version) => Ok(version),
        Changed::Not(_) => {
            unstage(store, repository, applying).await;
            Err(DriverError::Conflict)
        }
    }
}

/// Removes what was staged for nothing; if that fails, it goes with the next change that is staged.
async fn unstage(store: &Store, repository: &RepositoryKey, applying: &Applying) {
    let prefix = keys::staged_change(repository, &applying.id);
    let removed = store.cluster.write(|session| {
        let prefix = prefix.clone();
        async move { session.kv().delete(prefix, Some(DeleteOptions::new().with_prefix())).await }
    });
    if let Err(error) = removed.await {
        tracing::debug!(%repository, why = error.reason(), "staged keys stay behind");
    }
}

/// Does what was decided when `repository` became `decided`, and says which version it is at then.
pub(crate) async fn carry_out(
    store: &Store,
    repository: &RepositoryKey,
    decided: Version,
    applying: &Applying,
) -> Result<Version, DriverError> {
    for number in 0..applying.chunks {
        let operations = match part(store, repository, decided, &applying.id, number).await? {
            Part::There(operations) => operations,
            Part::Gone(found) => return Ok(outcome(found.as_ref(), decided, applying)),
        };
        for operations in operations.chunks(OPERATIONS_MAX) {
            let operations = operations.iter().map(Operation::request).collect();
            if let Changed::Not(found) = store.change(repository, decided, None, operations, None).await? {
                return Ok(outcome(found.as_ref(), decided, applying));
            }
        }
    }
    let record = VersionRecord { applied: Some(applying.id.clone()), ..VersionRecord::default() };
    let staged = TxnOp::delete(keys::staged(repository), Some(DeleteOptions::new().with_prefix()));
    match store.change(repository, decided, None, vec![staged], Some(record)).await? {
        Changed::Done(version) => Ok(version),
        Changed::Not(found) => Ok(outcome(found.as_ref(), decided, applying)),
    }
}

/// One part of a change.
enum Part {
    There(Vec<Operation>),
    /// The change is complete already. This is the repository's version key.
    Gone(Option<KeyValue>),
}

async fn part(
    store: &Store,
    repository: &RepositoryKey,
    decided: Version,
    id: &str,
    number: usize,
) -> Result<Part, DriverError> {
    let key = keys::chunk(repository, id, number);
    let read = store.read(vec![TxnOp::get(keys::version(repository), None), TxnOp::get(key.as_str(), None)]).await?;
    let [version, chunk] = &read.answers[..] else { return Err(unexpected()) };
    if version_of(version.kvs().first()) != decided {
        return Ok(Part::Gone(version.kvs().first().cloned()));
    }
    let corrupt = |why: String| DriverError::Corrupt(Fault::new(format!("etcd key {key}: {why}")));
    let chunk = chunk.kvs().first().ok_or_else(|| corrupt("a part of a change is missing".to_owned()))?;
    let operations: Vec<Operation> = records::parse(chunk.value()).map_err(corrupt)?;
    let own = [keys::slots(repository), keys::places(repository), keys::queue(repository)];
    match operations.iter().find(|operation| !own.iter().any(|prefix| operation.key().starts_with(prefix))) {
        Some(stranger) => Err(corrupt(format!("it changes {:?}, which is not the repository's", stranger.key()))),
        None => Ok(Part::There(operations)),
    }
}

/// The version that another, who was faster, made of it. If the repository has gone on since, it is the one that was
/// decided, which is no longer any state's.
fn outcome(found: Option<&KeyValue>, decided: Version, applying: &Applying) -> Version {
    let record = found.and_then(|key| records::parse::<VersionRecord>(key.value()).ok());
    let applied = record.and_then(|record| record.applied);
    if applied.as_ref() == Some(&applying.id) { version_of(found) } else { decided }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pac_config::{Disk, DriverSettings, Sources, resolve};
    use pac_devservers::etcd::Etcd;

    use super::*;
    use crate::cluster::Cluster;
    use crate::version_key::VersionKeys;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_change_whose_parts_are_gone_is_not_decided() {
        let server = Etcd::start().unwrap();
        let endpoint = format!("127.0.0.1:{}", server.port());
        let data = [("concurrency-driver", "etcd"), ("etcd-endpoints", &endpoint)];
        let resolved = resolve(&Sources::new().with_config_map("ns/c", data), &Disk).unwrap();
        let DriverSettings::Etcd(settings) = resolved.settings.driver else { unreachable!() };
        let store = Store { cluster: Arc::new(Cluster::new(settings)), versions: VersionKeys::new("test") };
        let repository: RepositoryKey = "ns/repo".parse().unwrap();
        let slot =
            |number| Operation::Put { key: format!("{}{number}", keys::slots(&repository)), value: String::new() };
        let operations: Vec<Operation> = (0..500).map(slot).collect();
        let gone = stage(&store, &repository, &operations).await.unwrap();
        // As another large change does that ends meanwhile.
        unstage(&store, &repository, &gone).await;
        let decided = decide(&store, &repository, Version::NONE, &gone).await;
        assert!(matches!(decided, Err(DriverError::Conflict)), "{decided:?}");
        let there = stage(&store, &repository, &operations).await.unwrap();
        decide(&store, &repository, Version::NONE, &there).await.unwrap();
    }
}
