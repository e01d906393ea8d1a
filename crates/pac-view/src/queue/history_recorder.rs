//! The past of every repository, as this watcher makes it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Holder, Limit, ReconcileOutcome, RepositoryKey, RunKey};
use pac_kube::pause::Pause;
use pac_queue::history::{Happened, History, Record, now, shortened};
use pac_queue::week::{RUNS, RUNS_OF_ALL, Rule, Week, fair_share, tenths};
use pac_state::index::End;

use super::arrivals::Arrivals;
use crate::events::News;

/// The past of every repository. Whoever acts has a record made here, in passing, and waits for nothing.
#[derive(Debug)]
pub struct HistoryRecorder {
    kept: Mutex<HashMap<RepositoryKey, Kept>>,
    news: News,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    /// The history from before this watcher last began to lead: the store's takes its place.
    former: History,
    /// Whether the store's history was taken up.
    taken_up: bool,
    /// Whether something is yet to be written to the store.
    changed: bool,
    /// Whether the store refused the last write.
    refused: bool,
    /// How often something happened.
    moves: u64,
    /// Since when each run has had its slot.
    slots: HashMap<RunKey, Timestamp>,
    /// Who waits since when.
    arrivals: Arrivals,
    /// Limit and pause as last looked at.
    rule: Option<(Limit, Option<Pause>)>,
}

// === impl HistoryRecorder ===

impl HistoryRecorder {
    /// An empty past. Every record to come is put into `news`, too.
    pub fn new(news: News) -> Self {
        Self { kept: Mutex::default(), news }
    }

    /// Records what a pass of `holder` did; `ends` says of each run that was released why.
    pub fn passed(
        &self,
        repository: &RepositoryKey,
        passed: &ReconcileOutcome,
        holder: &Holder,
        ends: Vec<(RunKey, End)>,
    ) {
        let plan = &passed.plan;
        if plan.commits_nothing() {
            return;
        }
        let now = now();
        let holder = || holder.as_str().to_owned();
        let mut all = self.kept();
        let kept = all.entry(repository.clone()).or_default();
        let add = |kept: &mut Kept, run: &RunKey, what| self.write(repository, kept, now, Some(run), what);
        for entry in &plan.enqueued {
            kept.arrivals.joined(entry, now);
        }
        for (run, position) in &passed.joined {
            add(kept, run, Happened::Queued { position: *position });
        }
        for entry in &plan.adopted {
            kept.slots.insert(entry.run.clone(), now);
            kept.arrivals.adopted(&mut kept.history.week, entry, now);
            add(kept, &entry.run, Happened::Adopted { holder: holder() });
        }
        for entry in &plan.claimed {
            add(kept, &entry.run, Happened::TakenOver { holder: holder() });
        }
        for run in &plan.given_back {
            kept.slots.remove(run);
            kept.arrivals.given_back(&mut kept.history.week, run);
            add(kept, run, Happened::GivenBack);
        }
        for (run, end) in ends {
            let released = kept.release(now, &run, &end);
            add(kept, &run, released);
        }
        for entry in &plan.granted {
            kept.slots.insert(entry.run.clone(), now);
            kept.arrivals.granted(&mut kept.history.week, entry, now);
            add(kept, &entry.run, Happened::Admitted { holder: holder() });
        }
    }

    /// Records that `by` was admitted before these runs, whose starts were refused with these words.
    pub fn passed_over(&self, repository: &RepositoryKey, by: &RunKey, runs: Vec<(RunKey, String)>) {
        for (run, why) in runs {
            self.add(repository, &run, Happened::PassedOver { by: by.path().to_owned(), why: shortened(&why) });
        }
    }

    /// Records that `run` was started.
    pub fn started(&self, repository: &RepositoryKey, run: &RunKey) {
        self.add(repository, run, Happened::Started);
    }

    /// Records that the API server refused to start `run`.
    pub fn refused(&self, repository: &RepositoryKey, run: &RunKey, why: &str) {
        self.add(repository, run, Happened::Refused { why: shortened(why) });
    }

    /// Records that this limit and pause hold for `repository` now, if others did before.
    ///
    /// `resumed` is what the operator said who last ended a pause.
    pub fn ruled(&self, repository: &RepositoryKey, limit: Limit, pause: Option<Pause>, resumed: Option<String>) {
        let mut all = self.kept();
        let kept = all.entry(repository.clone()).or_default();
        let allowed = match limit {
            Limit::AtMost(most) if pause.is_none() => Some(most.get()),
            Limit::Unlimited if pause.is_none() => None,
            _ => Some(0),
        };
        kept.history.week.ruled(Rule { at: tenths(now()), limit: allowed });
        let Some((limit_before, pause_before)) = kept.rule.replace((limit, pause.clone())) else { return };
        let mut tell = |what| self.write(repository, kept, now(), None, what);
        if limit_before != limit {
            tell(Happened::LimitChanged { from: limit_before.to_string(), to: limit.to_string() });
        }
        match pause {
            pause if pause == pause_before => {}
            Some(pause) => tell(Happened::Paused { reason: shortened(&pause.reason), until: pause.until() }),
            None => tell(Happened::Resumed { reason: resumed.as_deref().map(shortened) }),
        }
    }

    /// The past of `repository`, as far as it is known here, but for its week.
    pub(crate) fn history(&self, repository: &RepositoryKey) -> History {
        let but_its_week = |History { records, held_for, .. }: &History| History {
            records: records.clone(),
            held_for: held_for.clone(),
            week: Week::default(),
        };
        self.kept().get(repository).map(|kept| but_its_week(&kept.history)).unwrap_or_default()
    }

    /// The last week of `repository`, as far as it is known here.
    pub(crate) fn week(&self, repository: &RepositoryKey) -> Week {
        self.kept().get(repository).map(|kept| kept.history.week.clone()).unwrap_or_default()
    }

    /// How often something has happened in `repository`: as long as that is the same, nothing has.
    pub(crate) fn moves(&self, repository: &RepositoryKey) -> u64 {
        self.kept().get(repository).map_or(0, |kept| kept.moves)
    }

    /// Since when `run` has had its slot, if that is known here.
    pub(crate) fn slot_since(&self, repository: &RepositoryKey, run: &RunKey) -> Option<Timestamp> {
        self.kept().get(repository)?.slot_since(run)
    }

    /// Forgets the past of `repository`, which is gone.
    pub fn forget(&self, repository: &RepositoryKey) {
        self.kept().remove(repository);
    }

    /// To be called when this watcher begins to lead: another may have freed slots and made history meanwhile.
    pub fn begin(&self) {
        self.news.begin();
        for kept in self.kept().values_mut() {
            kept.slots.clear();
            kept.arrivals.clear();
            let former = std::mem::take(&mut kept.former);
            kept.history.continue_from(former);
            kept.former = std::mem::take(&mut kept.history);
            kept.taken_up = false;
        }
    }

    /// The repositories whose past, as the store has it, is yet to be taken up.
    pub fn untaken(&self) -> Vec<RepositoryKey> {
        self.kept().iter().filter(|(_, kept)| !kept.taken_up).map(|(key, _)| key.clone()).collect()
    }

    /// Takes up the past of `repository` as the store has it, if it has any.
    pub fn take_up(&self, repository: &RepositoryKey, stored: Option<History>) {
        let mut all = self.kept();
        let Some(kept) = all.get_mut(repository) else { return };
        let former = std::mem::take(&mut kept.former);
        kept.changed |= stored.is_none() && !former.records.is_empty();
        kept.history.continue_from(stored.unwrap_or(former));
        kept.taken_up = true;
    }

    /// The histories that are yet to be written to the store, all of them together being within their bounds.
    pub fn unwritten(&self) -> Vec<(RepositoryKey, History)> {
        let mut all = self.kept();
        let most = fair_share(all.values().map(|kept| kept.history.week.runs().len()), RUNS_OF_ALL);
        if most < RUNS {
            all.values_mut().for_each(|kept| kept.history.week.keep(most));
        }
        let unwritten = all.iter().filter(|(_, kept)| kept.taken_up && kept.changed);
        unwritten.map(|(key, kept)| (key.clone(), kept.history.clone())).collect()
    }

    /// Notes that `past` of `repository` is written to the store; what happened since is yet to be.
    pub fn written(&self, repository: &RepositoryKey, past: &History) {
        if let Some(kept) = self.kept().get_mut(repository) {
            kept.changed = kept.history != *past;
            kept.refused = false;
        }
    }

    /// Notes that the store refused the history of `repository`; says whether it is the first time since it took one.
    pub fn refused_by_store(&self, repository: &RepositoryKey) -> bool {
        self.kept().get_mut(repository).is_some_and(|kept| !std::mem::replace(&mut kept.refused, true))
    }

    fn add(&self, repository: &RepositoryKey, run: &RunKey, what: Happened) {
        let mut all = self.kept();
        self.write(repository, all.entry(repository.clone()).or_default(), now(), Some(run), what);
    }

    fn write(&self, repository: &RepositoryKey, kept: &mut Kept, at: Timestamp, run: Option<&RunKey>, what: Happened) {
        let (path, uid) = (run.map(|run| run.path().to_owned()), run.map(|run| run.uid().to_owned()));
        let record = Record { at, run: path, uid, what };
        self.news.tell(repository, &record);
        kept.history.add(record);
        kept.changed = true;
        kept.moves += 1;
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<RepositoryKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn slot_since(&self, run: &RunKey) -> Option<Timestamp> {
        self.slots.get(run).copied().or_else(|| self.history.slot_since(run.uid()))
    }

    fn release(&mut self, now: Timestamp, run: &RunKey, end: &End) -> Happened {
        let since = self.slot_since(run);
        self.slots.remove(run);
        let held_for = since.map(|since| now.duration_since(since).as_secs_f64()).filter(|seconds| *seconds >= 0.0);
        // A run that was cut short says nothing of how long others will take.
        if let (Some(seconds), End::Done(_)) = (held_for, end) {
            self.history.add_time(seconds);
        }
        self.arrivals.ended(&mut self.history.week, run, end, now);
        let by_operator = matches!(end, End::ByOperator(_));
        Happened::Released { why: shortened(&end.to_string()), by_operator, held_for }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_is_yet_to_be_written() {
        let history = HistoryRecorder::new(News::default());
        let key = |name: &str| RepositoryKey::new("ns", name).unwrap();
        let run = RunKey::new("ns", "a", "1").unwrap();
        for name in ["one", "two"] {
            history.started(&key(name), &run);
            history.take_up(&key(name), None);
        }
        let unwritten = history.unwritten();
        assert_eq!(unwritten.len(), 2);
        // The store took one of them, and then it was away, or this watcher led no more.
        let (first, past) = &unwritten[0];
        history.written(first, past);
        let rest: Vec<RepositoryKey> = history.unwritten().into_iter().map(|(key, _)| key).collect();
        assert_eq!(rest, [unwritten[1].0.clone()]);
        history.started(first, &run);
        assert_eq!(history.unwritten().len(), 2, "what happened since is news");
        history.written(first, past);
        assert_eq!(history.unwritten().len(), 2, "what was written was older");
    }
}
