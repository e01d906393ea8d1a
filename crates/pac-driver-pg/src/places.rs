//! Where in its table each repository's row was left: a commit that knows it doesn't search for the row.
//!
//! A place is no more than a guess. Rows move when they are written, and when the table is; whoever finds the row not there, or
//! at another version, searches for it.

use std::collections::HashMap;

use pac_concurrency::{RepositoryKey, Version};
use parking_lot::Mutex;

/// See the [module](self). One a repository, as long as it is known.
#[derive(Debug, Default)]
pub(crate) struct Places(Mutex<HashMap<RepositoryKey, (Version, String)>>);

// === impl Places ===

impl Places {
    /// Takes out the place of `repository`, if it was left there at `version`.
    pub(crate) fn take(&self, repository: &RepositoryKey, version: Version) -> Option<String> {
        self.0.lock().remove(repository).filter(|(left_at, _)| *left_at == version).map(|(_, place)| place)
    }

    /// Keeps where the row is since it has `version`.
    pub(crate) fn keep(&self, repository: &RepositoryKey, version: Version, place: String) {
        self.0.lock().insert(repository.clone(), (version, place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_good_for_one_commit_on_its_version() {
        let (places, repository) = (Places::default(), "ns/repo".parse().unwrap());
        places.keep(&repository, Version::new(7), "(0,1)".to_owned());
        assert_eq!(places.take(&repository, Version::new(7)).as_deref(), Some("(0,1)"));
        assert_eq!(places.take(&repository, Version::new(7)), None);
        places.keep(&repository, Version::new(8), "(0,2)".to_owned());
        assert_eq!(places.take(&repository, Version::new(7)), None, "another watcher moved it since");
    }
}
