//! The place of a run in its repository's queue: (creation of the event's first run, position in the event's list, own
//! creation, name).

use std::collections::BTreeMap;

use super::facts::Facts;

/// Sorts as the queue does.
pub(crate) type Place = (i64, usize, i64, String);

/// The creation times that places are computed from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    /// Namespace, list and name of each run that carries the list.
    by_list: BTreeMap<(String, String), BTreeMap<String, i64>>,
}

// === impl Events ===

impl Events {
    /// Remembers what a version says of its event; runs that are gone stay known.
    pub(crate) fn learn(&mut self, namespace: &str, name: &str, facts: &Facts) {
        if let Some(event) = &facts.event {
            let key = (namespace.to_owned(), event.list.clone());
            self.by_list.entry(key).or_default().insert(name.to_owned(), facts.created);
        }
    }

    pub(crate) fn place(&self, namespace: &str, name: &str, facts: &Facts) -> Place {
        let Some(event) = &facts.event else { return (facts.created, 0, facts.created, name.to_owned()) };
        let known = self.by_list.get(&(namespace.to_owned(), event.list.clone()));
        // A first run that doesn't carry the list itself isn't of the event; the oldest that does stands for it.
        let first = known.and_then(|known| known.get(&event.first).or_else(|| known.values().min()));
        (first.copied().unwrap_or(facts.created), event.position, facts.created, name.to_owned())
    }
}
