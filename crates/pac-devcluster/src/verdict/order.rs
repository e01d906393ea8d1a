//! Who is before whom in a repository's queue: by the creation of the event's first run, then by the place in the event, which
//! goes by name, then by the own creation.
//!
//! The runs of one event are known by its order, where one of two runs has it, and before that by what PAC writes onto all of
//! them at creation. Where neither tells, and two events began within the same second, nobody is before anybody.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use super::facts::{Facts, Webhook};
use crate::natural;

/// How far apart the creations of an event's runs may be, in seconds: a commit can be built again by an event that looks alike.
const EVENT_LASTS: u64 = 5;

/// Sorts as the queue does, as far as one run alone tells.
pub(crate) type Place = (i64, usize, i64, String);

/// The creation times that places are computed from; runs that are gone stay known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    /// Namespace, list and name of each run that carries the list.
    by_list: BTreeMap<(String, String), BTreeMap<String, i64>>,
    /// When the runs of a namespace that have this in common were created.
    by_webhook: HashMap<(String, Webhook), Vec<i64>>,
}

// === impl Events ===

impl Events {
    /// Remembers what a version says of its event.
    pub(crate) fn learn(&mut self, namespace: &str, name: &str, facts: &Facts) {
        if let Some(event) = &facts.event {
            let key = (namespace.to_owned(), event.list.clone());
            self.by_list.entry(key).or_default().insert(name.to_owned(), facts.created);
        }
        if let Some(webhook) = &facts.webhook {
            let created = self.by_webhook.entry((namespace.to_owned(), webhook.clone())).or_default();
            if !created.contains(&facts.created) {
                created.push(facts.created);
            }
        }
    }

    pub(crate) fn place(&self, namespace: &str, name: &str, facts: &Facts) -> Place {
        let position = facts.event.as_ref().map_or(0, |event| event.position);
        (self.began(namespace, facts), position, facts.created, name.to_owned())
    }

    /// Whether one run certainly is before another of its repository.
    pub(crate) fn is_before(&self, namespace: &str, one: (&str, &Facts), other: (&str, &Facts)) -> bool {
        if let Some(ordering) = within_event(one, other) {
            return ordering.is_lt();
        }
        let place = |run: (&str, &Facts)| self.place(namespace, run.0, run.1);
        if one.1.event.is_some() && other.1.event.is_some() {
            return place(one) < place(other);
        }
        place(one).0 < place(other).0
    }

    /// When the event's first run was created.
    fn began(&self, namespace: &str, facts: &Facts) -> i64 {
        let alike = facts.webhook.as_ref().and_then(|webhook| {
            let created = self.by_webhook.get(&(namespace.to_owned(), webhook.clone()))?;
            created.iter().filter(|created| created.abs_diff(facts.created) <= EVENT_LASTS).min()
        });
        let listed = facts.event.as_ref().and_then(|event| {
            let known = self.by_list.get(&(namespace.to_owned(), event.list.clone()))?;
            // A first run that doesn't carry the list itself isn't of the event; the oldest that does stands for it.
            known.get(event.names.first()?).or_else(|| known.values().min())
        });
        alike.into_iter().chain(listed).min().copied().unwrap_or(facts.created)
    }
}

/// Which of two runs of one event is first; `None` if nothing says that they are of one.
///
/// A run that is made again under its name isn't of the event that names it, and has another commit or an order of its own.
fn within_event(one: (&str, &Facts), other: (&str, &Facts)) -> Option<Ordering> {
    let (first, second) = (one.1, other.1);
    let lists = first.event.as_ref().zip(second.event.as_ref());
    let webhooks = first.webhook.as_ref().zip(second.webhook.as_ref());
    if lists.is_some_and(|(one, other)| one.list != other.list) || webhooks.is_some_and(|(one, other)| one != other) {
        return None;
    }
    let by_list = |facts: &Facts| {
        let event = facts.event.as_ref()?;
        Some(event.position_of(one.0)?.cmp(&event.position_of(other.0)?))
    };
    if let Some(ordering) = by_list(first).or_else(|| by_list(second)) {
        return Some(ordering);
    }
    let is_near = first.created.abs_diff(second.created) <= EVENT_LASTS;
    (webhooks.is_some() && is_near).then(|| natural::compare(one.0, other.0))
}
