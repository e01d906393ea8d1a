//! The runs of one repository, by name.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use pac_concurrency::RunKey;

use super::run::Run;

/// See the [module](self). The hash is a quick one, because each pass looks up every run that waits. The runs are boxed, because
/// a table has room for many more entries than are in it.
#[derive(Debug, Clone)]
pub(super) struct Runs(HashMap<Arc<str>, Box<Run>, SeedableRandomState>);

/// What the hashes of all repositories have in common.
static SEED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(chance()));

/// A number nobody can guess. It is the kernel's, as that of the standard library's maps is: foldhash by itself takes one from
/// addresses in memory, with which no simulation can be repeated.
fn chance() -> u64 {
    RandomState::new().hash_one(())
}

impl Default for Runs {
    fn default() -> Self {
        Self(HashMap::with_hasher(SeedableRandomState::with_seed(chance(), &SEED)))
    }
}

// === impl Runs ===

impl Runs {
    pub(super) fn named(&self, name: &str) -> Option<&Run> {
        self.0.get(name).map(|run| &**run)
    }

    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut Run> {
        self.0.get_mut(name).map(|run| &mut **run)
    }

    /// The very run `key`, not another one of its name.
    pub(super) fn get(&self, key: &RunKey) -> Option<&Run> {
        self.named(key.name()).filter(|run| run.view.key == *key)
    }

    /// The very run `key`, to change it.
    pub(super) fn get_mut(&mut self, key: &RunKey) -> Option<&mut Run> {
        self.named_mut(key.name()).filter(|run| run.view.key == *key)
    }

    pub(super) fn insert(&mut self, name: Arc<str>, run: Run) {
        self.0.insert(name, Box::new(run));
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Run> {
        let removed = self.0.remove(name).map(|run| *run);
        // The room of a burst that is over is given back. The copying is worth it once most of the table is empty.
        if self.0.len() < self.0.capacity() / 8 {
            self.0.shrink_to(self.0.len() * 2);
        }
        removed
    }

    /// All runs, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Run> {
        self.0.values().map(|run| &**run)
    }

    /// Their names, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pac_kube::convert::Phase;
    use tokio::time::Instant;

    use super::*;
    use crate::index::tests::view;

    #[test]
    fn a_burst_that_is_over_gives_its_room_back() {
        let mut runs = Runs::default();
        let names: Vec<String> = (0..1_000).map(|number| format!("run-{number}")).collect();
        for name in &names {
            runs.insert(name.as_str().into(), Run::new(view(Phase::Waiting), Instant::now(), Duration::ZERO));
        }
        assert!(runs.0.capacity() >= 1_000);
        for name in &names[1..] {
            assert!(runs.remove(name).is_some());
        }
        assert!(runs.0.capacity() < 100, "{}", runs.0.capacity());
        assert_eq!(runs.names().map(|name| &**name).collect::<Vec<_>>(), ["run-0"]);
    }
}
