//! The past of every repository, as this watcher makes it.
//!
//! Whoever does something worth telling says so here, in passing: a record is made, and that is all.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{Holder, Limit, Passed, RepositoryKey, RunKey};

use super::history::{Happened, History, Record, now, shortened};
use crate::index::End;
use crate::pause::Pause;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Chronicle {
    kept: Mutex<HashMap<RepositoryKey, Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    history: History,
    /// Since when each run has had its slot.
    slots: HashMap<RunKey, Timestamp>,
    /// What limit and pause were when last looked at.
    rule: Option<(Limit, Option<Pause>)>,
}

// === impl Chronicle ===

impl Chronicle {
    /// A pass of `holder` did this; `ends` says why each run was released that was.
    pub fn passed(&self, repository: &RepositoryKey, passed: &Passed, holder: &Holder, ends: Vec<(RunKey, End)>) {
        let plan = &passed.plan;
        let quiet = passed.joined.is_empty() && plan.delta().is_empty();
        if quiet {
            return;
        }
        let now = now();
        let holder = || holder.as_str().to_owned();
        let mut all = self.kept();
        let kept = all.entry(repository.clone()).or_default();
        for (run, position) in &passed.joined {
            kept.add(now, run, Happened::Queued { position: *position });
        }
        for entry in &plan.adopted {
            kept.slots.insert(entry.run.clone(), now);
            kept.add(now, &entry.run, Happened::Adopted { holder: holder() });
        }
        for entry in &plan.claimed {
            kept.add(now, &entry.run, Happened::TakenOver { holder: holder() });
        }
        for run in &plan.given_back {
            kept.slots.remove(run);
            kept.add(now, run, Happened::GivenBack);
        }
        for (run, end) in ends {
            kept.released(now, &run, &end);
        }
        for entry in &plan.granted {
            kept.slots.insert(entry.run.clone(), now);
            kept.add(now, &entry.run, Happened::Admitted { holder: holder() });
        }
    }

    /// `by` was admitted before these runs, whose starts were refused with these words.
    pub fn passed_over(&self, repository: &RepositoryKey, by: &RunKey, runs: Vec<(RunKey, String)>) {
        for (run, why) in runs {
            self.add(repository, &run, Happened::PassedOver { by: by.path().to_owned(), why: shortened(&why) });
        }
    }

    /// `run` was started.
    pub fn started(&self, repository: &RepositoryKey, run: &RunKey) {
        self.add(repository, run, Happened::Started);
    }

    /// The API server would not start `run`.
    pub fn refused(&self, repository: &RepositoryKey, run: &RunKey, why: &str) {
        self.add(repository, run, Happened::Refused { why: shortened(why) });
    }

    /// These limit and pause hold for `repository` now; worth telling if others did before.
    ///
    /// `resumed` is what the operator said who last ended a pause.
    pub fn ruled(&self, repository: &RepositoryKey, limit: Limit, pause: Option<Pause>, resumed: Option<String>) {
        let mut all = self.kept();
        let kept = all.entry(repository.clone()).or_default();
        let Some((limit_before, pause_before)) = kept.rule.replace((limit, pause.clone())) else { return };
        if limit_before != limit {
            kept.tell(Happened::LimitChanged { from: limit_before.to_string(), to: limit.to_string() });
        }
        match pause {
            pause if pause == pause_before => {}
            Some(pause) => kept.tell(Happened::Paused { reason: shortened(&pause.reason), until: pause.until() }),
            None => kept.tell(Happened::Resumed { reason: resumed.as_deref().map(shortened) }),
        }
    }

    /// What is known here of the past of `repository`.
    pub fn history(&self, repository: &RepositoryKey) -> History {
        self.kept().get(repository).map(|kept| kept.history.clone()).unwrap_or_default()
    }

    /// Since when `run` has had its slot, if that is known here.
    pub fn slot_since(&self, repository: &RepositoryKey, run: &RunKey) -> Option<Timestamp> {
        self.kept().get(repository)?.slot_since(run)
    }

    /// Forgets the past of `repository`, which is gone.
    pub fn forget(&self, repository: &RepositoryKey) {
        self.kept().remove(repository);
    }

    /// Forgets since when runs have had slots: another watcher may have freed them while it led.
    pub fn forget_slots(&self) {
        self.kept().values_mut().for_each(|kept| kept.slots.clear());
    }

    fn add(&self, repository: &RepositoryKey, run: &RunKey, what: Happened) {
        self.kept().entry(repository.clone()).or_default().add(now(), run, what);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<RepositoryKey, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Kept ===

impl Kept {
    fn add(&mut self, at: Timestamp, run: &RunKey, what: Happened) {
        let (path, uid) = (run.path().to_owned(), run.uid().to_owned());
        self.history.add(Record { at, run: Some(path), uid: Some(uid), what });
    }

    fn tell(&mut self, what: Happened) {
        self.history.add(Record { at: now(), run: None, uid: None, what });
    }

    fn slot_since(&self, run: &RunKey) -> Option<Timestamp> {
        self.slots.get(run).copied().or_else(|| self.history.slot_since(run.uid()))
    }

    fn released(&mut self, now: Timestamp, run: &RunKey, end: &End) {
        let since = self.slot_since(run);
        self.slots.remove(run);
        let held_for = since.map(|since| now.duration_since(since).as_secs_f64()).filter(|seconds| *seconds >= 0.0);
        // What was cut short says nothing of how long others will take.
        if let (Some(seconds), End::Done(_)) = (held_for, end) {
            self.history.add_time(seconds);
        }
        self.add(now, run, Happened::Released { why: shortened(&end.to_string()), held_for });
    }
}
