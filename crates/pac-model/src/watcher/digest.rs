//! What tells watchers apart: whatever they may do from here on. Times are told apart only as far as a decision can.

use pac_concurrency::manager::CachedRepository;
use pac_concurrency::protocol::STALL_AFTER;
use tokio::time::Instant;

use super::{Purpose, TICK, Watcher};
use crate::known::{Label, Shape};

/// So many ticks are as good as for ever.
const MANY: u128 = 100;

// === impl Watcher ===

impl Watcher {
    /// Feeds `shape` with all that tells it apart.
    pub(crate) fn feed(&self, shape: &mut Shape) {
        shape.feed_label(Label::Holder(self.holder));
        self.state.digest(self.now, TICK, &mut shape.digest);
        shape.feed((self.limit, self.trust.lasts_at(self.now), self.sending));
        shape.feed(self.trust.left_at(self.now).map(|left| left.as_nanos().div_ceil(TICK.as_nanos()).min(MANY)));
        shape.feed(self.takes_over_until.map(|until| self.ahead(until)).filter(|ahead| *ahead > 0));
        shape.feed(format!("{:?}{:?}", self.wanted, self.later.map(|(_, scope)| scope)));
        shape.feed(self.later.map(|(when, _)| self.ahead(when)));
        self.feed_known(&self.remembered.known, shape);
        shape.feed((self.remembered.is_stale(), self.pass.is_some()));
        if let Some((pass, known, limit)) = &self.pass {
            shape.feed(limit);
            self.feed_known(known, shape);
            pass.digest(&mut shape.digest);
            shape.feed(self.age(pass.asked_at()).min(1));
            pass.planned_on().into_iter().for_each(|snapshot| shape.feed_snapshot(snapshot));
        }
        shape.feed(self.lane.len());
        for (id, proven, limit) in &self.lane {
            shape.feed((id, self.age(*proven).min(1), limit));
        }
        for (purpose, id, asked) in &self.reading {
            let is_proof = matches!(purpose, Purpose::OverLimit | Purpose::Start { refused: true });
            let doubts = is_proof.then(|| self.state.may_be_started_since(&id.key(), *asked));
            shape.feed((purpose, id, doubts));
        }
    }

    fn feed_known(&self, known: &CachedRepository, shape: &mut Shape) {
        shape.feed_version(known.version);
        shape.feed(known.snapshot.is_some());
        known.snapshot.iter().for_each(|snapshot| shape.feed_snapshot(snapshot));
        let patience = STALL_AFTER.as_nanos().div_ceil(TICK.as_nanos());
        for (run, (holder, since)) in known.foreign_since() {
            shape.feed((run, self.age(since).min(patience)));
            shape.feed_label(holder);
        }
    }

    /// In ticks, begun ones counted whole.
    fn ahead(&self, at: Instant) -> u128 {
        at.saturating_duration_since(self.now).as_nanos().div_ceil(TICK.as_nanos())
    }

    /// In whole ticks.
    fn age(&self, at: Instant) -> u128 {
        self.now.saturating_duration_since(at).as_nanos() / TICK.as_nanos()
    }
}
