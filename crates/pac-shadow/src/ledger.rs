//! What was measured, by day and Repository, and what drifted: for [`DAYS_KEPT`] days, and of bounded size.

use std::collections::{BTreeMap, HashMap, VecDeque};

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use pac_concurrency::RepositoryKey;
use pac_metrics::{catalogue, per_repository};
use pac_queue::shadow::{DAYS_KEPT, DayShadow, Drift, DriftKind, ShadowTotals};

use crate::distribution::Distribution;

/// Days of a Repository that are kept; some 300 bytes each, 2 kB at most. Of what there is beyond, only the sum of all is kept.
const MOST_REPOSITORY_DAYS: usize = 10_000;
/// Drift that is kept by name.
const MOST_DRIFT: usize = 1000;
const DAY: i64 = 86_400;

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    days: BTreeMap<i64, Day>,
    drift: VecDeque<Drift>,
    /// How much drift there was before the first of `drift`.
    first_drift: u64,
    /// Of that, how much was left out for want of room.
    left_out: u64,
}

#[derive(Debug, Default)]
struct Day {
    all: Totals,
    repositories: HashMap<RepositoryKey, Totals>,
}

/// Names a record of drift, whether or not it is still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DriftId(u64);

/// What is counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Totals {
    waits: Distribution,
    would_have: Distribution,
    hand_offs: Distribution,
    idle_slot_seconds: f64,
    times_over: u64,
    over_run_seconds: f64,
    forgotten: u64,
    passed: u64,
    assumed: u64,
}

// === impl Ledger ===

impl Ledger {
    pub(crate) fn waited(&mut self, of: &RepositoryKey, at: Timestamp, took: SignedDuration) {
        self.add(of, at, |totals| totals.waits.add(took.as_secs_f64()));
        per_repository::observe(&catalogue::SHADOW_WAIT, named(of), took.unsigned_abs());
    }

    pub(crate) fn would_have_waited(&mut self, of: &RepositoryKey, at: Timestamp, took: SignedDuration) {
        self.add(of, at, |totals| totals.would_have.add(took.as_secs_f64()));
        per_repository::observe(&catalogue::SHADOW_WOULD_HAVE_WAITED, named(of), took.unsigned_abs());
    }

    pub(crate) fn handed_off(&mut self, of: &RepositoryKey, at: Timestamp, took: SignedDuration) {
        self.add(of, at, |totals| totals.hand_offs.add(took.as_secs_f64()));
        per_repository::observe(&catalogue::SHADOW_HAND_OFF, named(of), took.unsigned_abs());
    }

    /// So many durations were guessed.
    pub(crate) fn assumed(&mut self, of: &RepositoryKey, at: Timestamp, count: u64) {
        if count > 0 {
            self.add(of, at, |totals| totals.assumed += count);
        }
    }

    /// Slots were idle while somebody waited, for so many seconds in all, until `at`.
    pub(crate) fn idle(&mut self, of: &RepositoryKey, at: Timestamp, seconds: f64) {
        let whole = self.add_seconds(of, at, seconds, |totals| &mut totals.idle_slot_seconds);
        per_repository::count(&catalogue::SHADOW_SLOTS, named(of), &["idle"], whole);
    }

    /// Runs ran over the limit, for so many seconds in all, until `at`.
    pub(crate) fn over(&mut self, of: &RepositoryKey, at: Timestamp, seconds: f64) {
        let whole = self.add_seconds(of, at, seconds, |totals| &mut totals.over_run_seconds);
        per_repository::count(&catalogue::SHADOW_SLOTS, named(of), &["over_limit"], whole);
    }

    /// Keeps a record of drift.
    pub(crate) fn drifted(&mut self, of: &RepositoryKey, at: Timestamp, since: Timestamp, what: DriftKind) -> DriftId {
        self.count_drift(of, at, &what);
        if self.drift.len() >= MOST_DRIFT {
            self.drift.pop_front();
            (self.first_drift, self.left_out) = (self.first_drift + 1, self.left_out + 1);
        }
        let id = self.first_drift + self.drift.len() as u64;
        self.drift.push_back(Drift { repository: of.to_string(), since, until: None, what });
        DriftId(id)
    }

    /// Counts one of that kind.
    pub(crate) fn count_drift(&mut self, of: &RepositoryKey, at: Timestamp, what: &DriftKind) {
        let (kind, field): (_, fn(&mut Totals) -> &mut u64) = match what {
            DriftKind::Forgotten { .. } => ("forgotten", |totals| &mut totals.forgotten),
            DriftKind::Passed { .. } => ("passed", |totals| &mut totals.passed),
            DriftKind::OverLimit { .. } => ("over_limit", |totals| &mut totals.times_over),
        };
        self.add(of, at, |totals| *field(totals) += 1);
        per_repository::count(&catalogue::SHADOW_DRIFT, named(of), &[kind], 1);
    }

    /// Changes a record of drift, if it is still kept.
    pub(crate) fn change_drift(&mut self, id: DriftId, change: impl FnOnce(&mut Drift)) {
        let place = id.0.checked_sub(self.first_drift).and_then(|place| usize::try_from(place).ok());
        if let Some(drift) = place.and_then(|place| self.drift.get_mut(place)) {
            change(drift);
        }
    }

    pub(crate) fn drift(&self) -> Vec<Drift> {
        self.drift.iter().cloned().collect()
    }

    pub(crate) fn drift_left_out(&self) -> u64 {
        self.left_out
    }

    /// All together, by Repository, and by day.
    pub(crate) fn totals(&self) -> (ShadowTotals, BTreeMap<RepositoryKey, ShadowTotals>, Vec<DayShadow>) {
        let (mut total, mut repositories) = (Totals::default(), BTreeMap::<_, Totals>::new());
        for day in self.days.values() {
            total.merge(&day.all);
            for (key, totals) in &day.repositories {
                repositories.entry(key.clone()).or_default().merge(totals);
            }
        }
        let named = |(day, totals): (&i64, &Day)| {
            let day = Timestamp::from_second(day * DAY).ok()?.strftime("%Y-%m-%d").to_string();
            Some(DayShadow { day, total: totals.all.view() })
        };
        let repositories = repositories.into_iter().map(|(key, totals)| (key, totals.view())).collect();
        (total.view(), repositories, self.days.iter().filter_map(named).collect())
    }

    /// Drops what is too old at `now`.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        let oldest = day_of(now) - DAYS_KEPT + 1;
        self.days.retain(|day, _| *day >= oldest);
        let is_old = |drift: &Drift| drift.until.is_some_and(|until| day_of(until) < oldest);
        while self.drift.front().is_some_and(is_old) {
            self.drift.pop_front();
            self.first_drift += 1;
        }
    }

    fn add(&mut self, of: &RepositoryKey, at: Timestamp, add: impl Fn(&mut Totals)) {
        let has_room = self.days.values().map(|day| day.repositories.len()).sum::<usize>() < MOST_REPOSITORY_DAYS;
        let day = self.days.entry(day_of(at)).or_default();
        add(&mut day.all);
        match day.repositories.get_mut(of) {
            Some(totals) => add(totals),
            None if has_room => add(day.repositories.entry(of.clone()).or_default()),
            None => {}
        }
    }

    /// Adds seconds; says how many whole ones have come together by that.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive, and never so many")]
    fn add_seconds(
        &mut self,
        of: &RepositoryKey,
        at: Timestamp,
        seconds: f64,
        field: fn(&mut Totals) -> &mut f64,
    ) -> u64 {
        if seconds <= 0.0 {
            return 0;
        }
        self.add(of, at, |totals| *field(totals) += seconds);
        let day = self.days.get_mut(&day_of(at));
        let now = day.and_then(|day| day.repositories.get_mut(of)).map_or(0.0, |totals| *field(totals));
        (now.floor() - (now - seconds).max(0.0).floor()).max(0.0) as u64
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY)
}

fn named(key: &RepositoryKey) -> (&str, &str) {
    (key.namespace(), key.name())
}

// === impl Totals ===

impl Totals {
    fn merge(&mut self, other: &Self) {
        self.waits.merge(&other.waits);
        self.would_have.merge(&other.would_have);
        self.hand_offs.merge(&other.hand_offs);
        self.idle_slot_seconds += other.idle_slot_seconds;
        self.times_over += other.times_over;
        self.over_run_seconds += other.over_run_seconds;
        self.forgotten += other.forgotten;
        self.passed += other.passed;
        self.assumed += other.assumed;
    }

    fn view(&self) -> ShadowTotals {
        let waits = self.waits.times();
        ShadowTotals {
            started: waits.count,
            waits,
            would_have: self.would_have.times(),
            hand_offs: self.hand_offs.times(),
            idle_slot_seconds: self.idle_slot_seconds,
            times_over: self.times_over,
            over_run_seconds: self.over_run_seconds,
            forgotten: self.forgotten,
            passed: self.passed,
            assumed: self.assumed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::at;

    fn repository(number: usize) -> RepositoryKey {
        RepositoryKey::new("ns", &format!("ledger-{number}")).unwrap()
    }

    fn forgotten() -> DriftKind {
        DriftKind::Forgotten { run: "ns/a".to_owned(), passed_by: 0 }
    }

    #[test]
    fn days_go_after_a_fortnight_and_drift_that_is_over_with_them() {
        let (mut ledger, of) = (Ledger::default(), repository(0));
        ledger.idle(&of, at(0), 2.5);
        ledger.idle(&of, at(DAY), 0.75);
        let over = ledger.drifted(&of, at(0), at(0), forgotten());
        ledger.change_drift(over, |drift| drift.until = Some(at(5)));
        ledger.drifted(&of, at(10), at(10), forgotten());
        let (total, repositories, days) = ledger.totals();
        assert_eq!((total.idle_slot_seconds, total.forgotten, days.len()), (3.25, 2, 2));
        assert_eq!(repositories[&of], total);
        ledger.forget(at(DAYS_KEPT * DAY));
        let (total, _, days) = ledger.totals();
        assert_eq!((total.idle_slot_seconds, days[0].day.as_str()), (0.75, "1970-01-02"));
        assert_eq!(ledger.drift().iter().map(|drift| drift.since).collect::<Vec<_>>(), [at(10)], "it still lasts");
        assert_eq!(ledger.drift_left_out(), 0);
        ledger.change_drift(over, |_| unreachable!("it is gone"));
    }

    #[test]
    fn its_size_is_bounded_and_the_sum_is_right_all_the_same() {
        let mut ledger = Ledger::default();
        for number in 0..MOST_REPOSITORY_DAYS + 5 {
            ledger.drifted(&repository(number), at(0), at(0), forgotten());
        }
        let (total, repositories, _) = ledger.totals();
        assert_eq!(total.forgotten, MOST_REPOSITORY_DAYS as u64 + 5);
        assert_eq!(repositories.len(), MOST_REPOSITORY_DAYS);
        assert_eq!((ledger.drift().len(), ledger.drift_left_out()), (MOST_DRIFT, total.forgotten - MOST_DRIFT as u64));
    }
}
