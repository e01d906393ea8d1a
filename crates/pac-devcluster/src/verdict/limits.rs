//! The limit in force for a Repository, now and shortly before.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::object;

const PAUSED: &str = "concurrency.pipelinesascode.tekton.dev/paused";
const PAUSED_UNTIL: &str = "concurrency.pipelinesascode.tekton.dev/paused-until";

/// What a Repository itself says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    Missing,
    Unset,
    Limit(u64),
}

/// Whether an operator has put a Repository into a pause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pause {
    #[default]
    No,
    /// Until it is resumed.
    Yes,
    /// Until a time of day, which the history doesn't have.
    ForAWhile,
}

/// Namespace and name.
pub(crate) type RepositoryKey = (String, String);

/// The limits of all Repositories, with their changes.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    global: RepositoryKey,
    changes: BTreeMap<RepositoryKey, Vec<(Duration, Own)>>,
    /// Pauses, and since when they are as they are.
    pauses: BTreeMap<RepositoryKey, (Duration, Pause)>,
    /// Whether the whole system is switched off.
    is_off: bool,
}

// === impl Pause ===

impl Pause {
    fn of(repository: Option<&Value>) -> Self {
        let annotation = |name| object::annotation(repository?, name);
        match annotation(PAUSED) {
            None => Self::No,
            Some(reason) if reason.trim().eq_ignore_ascii_case("false") => Self::No,
            Some(_) if annotation(PAUSED_UNTIL).is_some() => Self::ForAWhile,
            Some(_) => Self::Yes,
        }
    }
}

// === impl Limits ===

impl Limits {
    pub(crate) fn new(global: RepositoryKey) -> Self {
        Self { global, changes: BTreeMap::new(), pauses: BTreeMap::new(), is_off: false }
    }

    /// A Repository's new version, or `None` for its deletion.
    pub(crate) fn change(&mut self, key: RepositoryKey, at: Duration, repository: Option<&Value>) {
        let own = match repository {
            None => Own::Missing,
            Some(repository) => match repository.pointer("/spec/concurrency_limit").and_then(Value::as_u64) {
                Some(limit) => Own::Limit(limit),
                None => Own::Unset,
            },
        };
        let pause = Pause::of(repository);
        if self.pauses.get(&key).is_none_or(|(_, known)| *known != pause) {
            self.pauses.insert(key.clone(), (at, pause));
        }
        self.changes.entry(key).or_default().push((at, own));
    }

    /// A new version of the settings, a ConfigMap; what they don't say stays.
    pub(crate) fn change_settings(&mut self, settings: &Value) {
        if let Some(enabled) = object::text_at(settings, "/data/concurrency-enabled") {
            self.is_off = ["false", "no", "0"].iter().any(|word| enabled.trim().eq_ignore_ascii_case(word));
        }
    }

    /// How many may run at the moment by all that is known: nobody while a Repository is paused, or all is switched off.
    pub(crate) fn open(&self, key: &RepositoryKey) -> Option<u64> {
        let is_open = self.pauses.get(key).is_none_or(|(_, pause)| *pause == Pause::No);
        if is_open && !self.is_off { self.now(key) } else { Some(0) }
    }

    /// Whether the Repository is in a pause that nothing but a resumption ends, and has been for so long.
    pub(crate) fn is_paused(&self, key: &RepositoryKey, at: Duration, long: Duration) -> bool {
        self.pauses.get(key).is_some_and(|(since, pause)| *pause == Pause::Yes && at >= *since + long)
    }

    /// The effective limit at the moment; `None` is unlimited. A missing Repository lets nothing start.
    pub(crate) fn now(&self, key: &RepositoryKey) -> Option<u64> {
        self.effective(key, Duration::MAX)
    }

    /// The greatest limit in force within the last `allowance`.
    pub(crate) fn greatest(&self, key: &RepositoryKey, at: Duration, allowance: Duration) -> Option<u64> {
        let mut greatest = self.now(key)?;
        let since = at.saturating_sub(allowance);
        if allowance.is_zero() {
            return Some(greatest);
        }
        let moments = [key, &self.global].into_iter().filter_map(|key| self.changes.get(key)).flatten();
        let moments = moments.map(|(moment, _)| *moment).filter(|moment| *moment >= since);
        for moment in moments.chain([since]) {
            greatest = greatest.max(self.effective(key, moment)?);
        }
        Some(greatest)
    }

    fn effective(&self, key: &RepositoryKey, at: Duration) -> Option<u64> {
        let own = match self.own(key, at) {
            Own::Missing => return Some(0),
            Own::Unset => self.own(&self.global, at),
            own => own,
        };
        match own {
            Own::Limit(limit) if limit > 0 => Some(limit),
            _ => None,
        }
    }

    fn own(&self, key: &RepositoryKey, at: Duration) -> Own {
        let changes = self.changes.get(key).map(Vec::as_slice).unwrap_or_default();
        let known = changes.partition_point(|(moment, _)| *moment <= at);
        changes[..known].last().map_or(Own::Missing, |(_, own)| *own)
    }
}
