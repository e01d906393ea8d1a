//! A repository's version key, and the version that stands for what it says.
//!
//! The revision of the last write alone would not do: an etcd that was restored from a backup gives the revisions since then out again,
//! to other states. So a version is the revision together with a hash of the key's value, which says who wrote it and which of its
//! writes it was, and a change compares both on the server.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etcd_client::{Compare, CompareOp, KeyValue};
use moka::sync::Cache;
use pac_concurrency::{RepositoryKey, Version};

use crate::keys;
use crate::records::{self, VersionRecord};

/// The bits of a version that are the revision: enough for half a century of ten thousand writes a second.
const REVISION_BITS: u32 = 44;
const REVISION_MASK: u64 = (1 << REVISION_BITS) - 1;
/// Repositories whose version key is remembered.
const REPOSITORIES_MAX: u64 = 100_000;

/// The version keys that this driver saw or wrote last. Forgetting any of it costs a round trip.
#[derive(Debug, Clone)]
pub(crate) struct VersionKeys {
    /// What this driver's own commits are known by: the beginning of no other's.
    origin: Arc<str>,
    /// How many records it has made.
    made: Arc<AtomicU64>,
    seen: Cache<RepositoryKey, (Version, Arc<[u8]>)>,
}

// === impl VersionKeys ===

impl VersionKeys {
    pub(crate) fn new(origin: &str) -> Self {
        Self { origin: origin.into(), made: Arc::default(), seen: Cache::new(REPOSITORIES_MAX) }
    }

    /// The value of a version key as this driver writes it, which no other write of anybody's has.
    pub(crate) fn value(&self, record: VersionRecord) -> String {
        let by = format!("{}{:08x}", self.origin, self.made.fetch_add(1, Ordering::Relaxed));
        records::write(&VersionRecord { by, ..record })
    }

    /// Whether this driver wrote `value`.
    pub(crate) fn is_own(&self, value: &[u8]) -> bool {
        records::parse::<VersionRecord>(value).is_ok_and(|record| record.by.starts_with(&*self.origin))
    }

    /// Notes that `repository` had this `value` written at `revision`; the version that is.
    pub(crate) fn note(&self, repository: &RepositoryKey, revision: i64, value: &[u8]) -> Version {
        let version = version(revision, value);
        self.seen.insert(repository.clone(), (version, value.into()));
        version
    }

    /// What holds exactly while `repository` is at `version`; none if its value isn't known.
    pub(crate) fn conditions(&self, repository: &RepositoryKey, version: Version) -> Option<Vec<Compare>> {
        let key = keys::version(repository);
        if version == Version::NONE {
            // A key that isn't there has revision 0.
            return Some(vec![Compare::mod_revision(key, CompareOp::Equal, 0)]);
        }
        let (_, value) = self.seen.get(repository).filter(|(seen, _)| *seen == version)?;
        let revision = Compare::mod_revision(key.as_str(), CompareOp::Equal, revision(version));
        Some(vec![revision, Compare::value(key, CompareOp::Equal, &*value)])
    }
}

/// The version that a version key, there or not, is at.
pub(crate) fn version_of(key: Option<&KeyValue>) -> Version {
    key.map_or(Version::NONE, |key| version(key.mod_revision(), key.value()))
}

fn version(revision: i64, value: &[u8]) -> Version {
    let mut hasher = DefaultHasher::new();
    hasher.write(value);
    Version::new(hasher.finish() << REVISION_BITS | revision.cast_unsigned() & REVISION_MASK)
}

fn revision(version: Version) -> i64 {
    (version.number() & REVISION_MASK).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_revision_with_two_values_is_two_versions() {
        let keys = VersionKeys::new("one");
        let repository: RepositoryKey = "ns/repo".parse().unwrap();
        let values = [(); 2].map(|()| keys.value(VersionRecord::default()));
        assert_eq!(values[0], r#"{"by":"one00000000"}"#);
        let [first, second] = values.map(|value| keys.note(&repository, 100, value.as_bytes()));
        assert_ne!(first, second);
        assert_eq!([first, second].map(revision), [100, 100]);
        assert!(keys.conditions(&repository, first).is_none(), "what is compared is what was read with it");
        assert_eq!(keys.conditions(&repository, second).unwrap().len(), 2);
    }
}
