//! Events that were published lately, so that the same news again is counted instead of published once more.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

/// How long the same news are one Event, counted from the last: as long as Kubernetes' own components have it.
const LASTS: Duration = Duration::from_secs(360);
/// More are not remembered; what is forgotten is published anew.
const MOST: usize = 4096;

/// Two with the same are the same news.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    kind: String,
    path: (String, String),
    uid: Option<String>,
    reason: &'static str,
    note: String,
}

#[derive(Debug)]
pub(super) struct Published {
    pub(super) namespace: String,
    pub(super) name: String,
    /// How often it happened.
    pub(super) count: i32,
    last: Instant,
    /// Whether the API server knows that count.
    told: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Series(HashMap<Key, Published>);

// === impl Key ===

impl Key {
    pub(super) fn new(regarding: &ObjectReference, reason: &'static str, note: &str) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Self {
            kind: text(&regarding.kind),
            path: (text(&regarding.namespace), text(&regarding.name)),
            uid: regarding.uid.clone(),
            reason,
            note: note.to_owned(),
        }
    }
}

// === impl Series ===

impl Series {
    /// Counts the news if they are known; says whether they are.
    pub(super) fn count(&mut self, key: &Key, now: Instant) -> bool {
        let Some(known) = self.0.get_mut(key).filter(|known| now - known.last < LASTS) else { return false };
        known.count = known.count.saturating_add(1);
        known.last = now;
        known.told = false;
        true
    }

    /// Remembers what was published under this name.
    pub(super) fn remember(&mut self, key: Key, namespace: String, name: String, now: Instant) {
        if self.0.len() < MOST {
            self.0.insert(key, Published { namespace, name, count: 1, last: now, told: true });
        }
    }

    /// What the API server has yet to be told the count of, and forgets what is long past.
    pub(super) fn take_untold(&mut self, now: Instant) -> Vec<(String, String, i32)> {
        self.0.retain(|_, known| now - known.last < LASTS || !known.told);
        let untold = self.0.values_mut().filter(|known| !known.told).map(|known| {
            known.told = true;
            (known.namespace.clone(), known.name.clone(), known.count)
        });
        untold.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(note: &str) -> Key {
        let regarding = ObjectReference { name: Some("repo".to_owned()), ..ObjectReference::default() };
        Key::new(&regarding, "Started", note)
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_news_are_counted_and_told_in_one() {
        let (mut series, now) = (Series::default(), Instant::now());
        assert!(!series.count(&key("a"), now));
        series.remember(key("a"), "ns".to_owned(), "repo.1".to_owned(), now);
        assert!(series.take_untold(now).is_empty());
        assert!(series.count(&key("a"), now) && series.count(&key("a"), now) && !series.count(&key("b"), now));
        assert_eq!(series.take_untold(now), [("ns".to_owned(), "repo.1".to_owned(), 3)]);
        assert!(series.take_untold(now).is_empty());
        assert!(!series.count(&key("a"), now + LASTS), "that is long past");
    }
}
