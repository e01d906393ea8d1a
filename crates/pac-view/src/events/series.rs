//! Events that were published lately, so that one that happens again is counted instead of published once more.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

/// How long after the last of them the same happening counts as one Event: as long as Kubernetes' own components have it.
const LASTS: Duration = Duration::from_secs(360);
/// How many are remembered; what is forgotten is published anew.
const MOST: usize = 4096;

/// What makes two happenings one Event.
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
    /// Counts one that is known; says whether it is.
    pub(super) fn count(&mut self, key: &Key, count: i32, now: Instant) -> bool {
        let Some(known) = self.0.get_mut(key).filter(|known| now - known.last < LASTS) else { return false };
        known.count = known.count.saturating_add(count);
        known.last = now;
        known.told = false;
        true
    }

    /// Remembers what was published under this name, and how often it had happened by then.
    pub(super) fn remember(&mut self, key: Key, namespace: String, name: String, count: i32, now: Instant) {
        if self.0.len() < MOST {
            self.0.insert(key, Published { namespace, name, count, last: now, told: count == 1 });
        }
    }

    /// Those whose count is yet to be written. Forgets what is long past.
    pub(super) fn untold(&mut self, now: Instant) -> Vec<(Key, String, String, i32)> {
        self.0.retain(|_, known| now - known.last < LASTS || !known.told);
        let untold = self.0.iter().filter(|(_, known)| !known.told);
        untold.map(|(key, known)| (key.clone(), known.namespace.clone(), known.name.clone(), known.count)).collect()
    }

    /// The API server knows that it happened so often; since then it may have happened again.
    pub(super) fn told(&mut self, key: &Key, count: i32) {
        if let Some(known) = self.0.get_mut(key) {
            known.told = known.count == count;
        }
    }

    /// Forgets an Event that is no more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.0.remove(key);
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
    async fn the_same_news_are_counted_until_their_count_is_told() {
        let (mut series, now) = (Series::default(), Instant::now());
        let untold = |series: &mut Series| -> Vec<(String, i32)> {
            series.untold(now).into_iter().map(|(_, _, name, count)| (name, count)).collect()
        };
        let (none, three) = (Vec::new(), vec![("repo.1".to_owned(), 3)]);
        assert!(!series.count(&key("a"), 1, now));
        series.remember(key("a"), "ns".to_owned(), "repo.1".to_owned(), 1, now);
        assert_eq!(untold(&mut series), none);
        assert!(series.count(&key("a"), 2, now) && !series.count(&key("b"), 1, now));
        assert_eq!(untold(&mut series), three);
        assert_eq!(untold(&mut series), three, "nobody said that it was told");
        series.told(&key("a"), 3);
        assert_eq!(untold(&mut series), none);
        assert!(!series.count(&key("a"), 1, now + LASTS), "that is long past");
    }
}
