//! Whether the API server has room for what nobody waits for: pure, its clock is whoever asks.

use std::collections::HashMap;
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use pac_kube::patch::NoticeOutcome;
use tokio::time::Instant;

/// An answer that takes longer than this says that the server has other work, or a webhook of the namespace has.
const SLOW: Duration = Duration::from_secs(1);
/// How long nothing is written after the API server had no time, or the runs of a repository after an answer was slow; doubles.
const CLOSED: Duration = Duration::from_secs(30);
const CLOSED_MOST: Duration = Duration::from_secs(600);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Room {
    all: Closed,
    of_one: HashMap<RepositoryKey, Closed>,
}

#[derive(Debug, Default)]
struct Closed {
    until: Option<Instant>,
    times: u32,
}

// === impl Room ===

impl Room {
    /// Whether there is room at all.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.all.is_over(now)
    }

    /// Whether there is for runs of `repository`.
    pub(super) fn is_open_for(&self, repository: &RepositoryKey, now: Instant) -> bool {
        self.is_open(now) && self.of_one.get(repository).is_none_or(|closed| closed.is_over(now))
    }

    /// Takes note of what a write onto a run of `repository` came to, after so long; says whether it is the first of a row that was
    /// refused.
    pub(super) fn note(
        &mut self,
        repository: &RepositoryKey,
        outcome: &NoticeOutcome,
        took: Duration,
        now: Instant,
    ) -> bool {
        match outcome {
            NoticeOutcome::Short(_) => self.all.close(now),
            NoticeOutcome::Refused(_) => {
                let closed = self.of_one.entry(repository.clone()).or_default();
                closed.close(now);
                return closed.times == 1;
            }
            // One namespace's webhook is no reason to be silent elsewhere.
            NoticeOutcome::Done | NoticeOutcome::Past if took >= SLOW => {
                self.all.times = 0;
                self.of_one.entry(repository.clone()).or_default().close(now);
            }
            NoticeOutcome::Done | NoticeOutcome::Past => {
                self.all.times = 0;
                self.of_one.remove(repository);
            }
        }
        false
    }
}

// === impl Closed ===

impl Closed {
    fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    fn close(&mut self, now: Instant) {
        self.until = Some(now + (CLOSED * 2_u32.saturating_pow(self.times)).min(CLOSED_MOST));
        self.times = (self.times + 1).min(8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_time_is_left_alone_and_a_slow_namespace_alone() {
        let (mut room, now) = (Room::default(), Instant::now());
        let [slow, other] = ["slow", "other"].map(|name| RepositoryKey::new("ns", name).unwrap());
        room.note(&slow, &NoticeOutcome::Done, SLOW, now);
        assert!(!room.is_open_for(&slow, now) && room.is_open_for(&other, now));
        assert!(room.is_open_for(&slow, now + CLOSED));
        room.note(&other, &NoticeOutcome::Short("429".to_owned()), Duration::ZERO, now);
        assert!(!room.is_open(now) && room.is_open(now + CLOSED));
        room.note(&other, &NoticeOutcome::Short("429".to_owned()), Duration::ZERO, now + CLOSED);
        assert!(!room.is_open(now + CLOSED * 2), "it waits for longer and longer");
        room.note(&other, &NoticeOutcome::Done, Duration::ZERO, now + CLOSED * 3);
        room.note(&other, &NoticeOutcome::Short("429".to_owned()), Duration::ZERO, now + CLOSED * 3);
        assert!(room.is_open(now + CLOSED * 4), "from the beginning");
    }

    #[test]
    fn a_refusal_is_said_once_in_a_row() {
        let (mut room, now) = (Room::default(), Instant::now());
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        let refused = || NoticeOutcome::Refused("no".to_owned());
        let said = [0, 1, 2].map(|_| room.note(&repository, &refused(), Duration::ZERO, now));
        assert_eq!((said, room.is_open(now), room.is_open_for(&repository, now)), ([true, false, false], true, false));
    }
}
