//! The runs of one repository, by name.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use pac_concurrency::RunKey;

use super::run::Run;

/// See the [module](self). Each that waits is looked up in each pass, so it has a quick hash. Boxed, since a table has room
/// for many more than are in it.
#[derive(Debug, Default)]
pub(super) struct Runs(HashMap<Arc<str>, Box<Run>, RandomState>);

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

    /// Likewise.
    pub(super) fn get_mut(&mut self, key: &RunKey) -> Option<&mut Run> {
        self.named_mut(key.name()).filter(|run| run.view.key == *key)
    }

    pub(super) fn insert(&mut self, name: Arc<str>, run: Run) {
        self.0.insert(name, Box::new(run));
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Run> {
        self.0.remove(name).map(|run| *run)
    }

    /// In no order.
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
