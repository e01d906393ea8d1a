//! The problems of the moment, in one place. `/ready` answers from it. The log tells of each problem when it comes, when it
//! changes and when it is over, and not once per failed call.
//!
//! One cause shows in many ways: while a server is frozen, one call says that it doesn't answer, another that it can't be
//! connected to, and both again and again. So the log has each wording once in each outage, the page shows the latest wording
//! that was news, and a wording that one part has told is not told again by another.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// How long a wording stays the current one after it last came. Meanwhile a wording that was told before doesn't replace it.
const STANDS_FOR: Duration = Duration::from_secs(30);
/// How many wordings of one outage are remembered as told. An outage with more has something in its wordings that never repeats.
const WORDINGS: usize = 32;

/// A part of the system that can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The settings as they were last read.
    Settings,
    /// The store of slots and queues.
    Store,
    /// The API server.
    ApiServer,
    /// The watch of PipelineRuns.
    RunWatch,
    /// The watch of Repositories.
    RepositoryWatch,
    /// The gate, which keeps PAC's own queue from starting runs beside this watcher.
    Gate,
    /// The work before this watcher can admit: the first full lists, a lease in the store, the import of an earlier version's
    /// data.
    Start,
}

/// Why the present settings aren't in force. Former ones are meanwhile, so no run waits because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotInForce {
    /// The settings can't be used.
    Unusable,
    /// The store that the settings ask for can't be reached.
    Unreachable,
}

/// The present problems; see the [module](self).
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    problems: BTreeMap<Part, Problem>,
    not_in_force: BTreeMap<NotInForce, Problem>,
    /// The runs that PAC's own queue still has to start, if any, in words.
    drain: Option<String>,
    /// That PAC's word on the order of an event's runs is lost, and why.
    lost_orders: Option<String>,
    /// When each part was last seen to work.
    worked: BTreeMap<Part, Instant>,
    /// The number of troubles of each part that are over.
    overcome: BTreeMap<Part, u64>,
}

/// One problem, in its latest wording.
#[derive(Debug)]
struct Problem {
    why: String,
    /// When the problem last came in this wording.
    came: Instant,
    /// Every wording that the problem came in since all was well.
    told: HashSet<String>,
    /// Whether nothing more is known than that a call about one thing among many failed.
    of_one: bool,
}

// === impl Part ===

impl Part {
    /// All parts.
    pub const ALL: [Self; 7] =
        [Self::Settings, Self::Store, Self::ApiServer, Self::RunWatch, Self::RepositoryWatch, Self::Gate, Self::Start];

    /// Its name as the value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Store => "store",
            Self::ApiServer => "api_server",
            Self::RunWatch => "run_watch",
            Self::RepositoryWatch => "repository_watch",
            Self::Gate => "gate",
            Self::Start => "start",
        }
    }

    /// The part's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Store => "store",
            Self::ApiServer => "API server",
            Self::RunWatch => "watch of PipelineRuns",
            Self::RepositoryWatch => "watch of Repositories",
            Self::Gate => "gate",
            Self::Start => "start",
        }
    }
}

// === impl NotInForce ===

impl NotInForce {
    /// All reasons.
    pub const ALL: [Self; 2] = [Self::Unusable, Self::Unreachable];

    /// Its name as the value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
        }
    }
}

// === impl Problem ===

impl Problem {
    fn new(why: String, now: Instant) -> Self {
        Self { told: HashSet::from([why.clone()]), why, came: now, of_one: false }
    }

    /// Whether the cause with which `why` ends was told already.
    fn has_told(&self, why: &str) -> bool {
        self.told.iter().any(|told| why.ends_with(told.as_str()))
    }

    /// Notes that the problem came again in the words `why`; returns whether these are news.
    fn again(&mut self, why: String, now: Instant) -> bool {
        let is_the_same = self.why == why;
        if !is_the_same && self.told.contains(&why) && now - self.came < STANDS_FOR {
            return false;
        }
        self.came = now;
        if is_the_same {
            return false;
        }
        if self.told.len() >= WORDINGS {
            self.told.clear();
        }
        self.why.clone_from(&why);
        self.told.insert(why)
    }
}

// === impl Health ===

impl Health {
    /// Notes that `part` is in trouble, and why.
    pub fn trouble(&self, part: Part, why: impl Into<String>) {
        let (why, now) = (why.into(), Instant::now());
        let mut state = self.state();
        let is_told_elsewhere = state.problems.iter().any(|(other, known)| *other != part && known.has_told(&why));
        let before = state.problems.get(&part).map(|known| known.why.clone());
        let is_news = match state.problems.get_mut(&part) {
            Some(known) => {
                known.of_one = false;
                known.again(why.clone(), now)
            }
            None => state.problems.insert(part, Problem::new(why.clone(), now)).is_none(),
        };
        match part {
            _ if !is_news => {}
            _ if is_told_elsewhere => debug!(part = part.name(), "{}: {why}", part.name()),
            // The beginning of the watcher's work is no trouble.
            Part::Start => info!(part = part.name(), "{}: {why}", part.name()),
            _ => warn!(part = part.name(), "{}: {why}", part.name()),
        }
        if before != state.problems.get(&part).map(|known| known.why.clone()) {
            self.news.send_replace(());
        }
    }

    /// Notes that a call to `part` that began at `began` failed. The failure counts for nothing if `part` was seen to work since:
    /// the last calls of an outage fail after its end.
    pub fn trouble_of_call(&self, part: Part, began: Instant, why: impl Into<String>) {
        if self.state().worked.get(&part).is_none_or(|worked| *worked < began) {
            self.trouble(part, why);
        }
    }

    /// Notes that a call about one thing among many, which `why` names, failed. While `part` is known to be in trouble anyway,
    /// such a failure adds nothing.
    pub fn trouble_of_one(&self, part: Part, began: Instant, why: impl Into<String>) {
        if let Some(known) = self.state().problems.get_mut(&part) {
            known.came = Instant::now();
            return;
        }
        self.trouble_of_call(part, began, why);
        if let Some(known) = self.state().problems.get_mut(&part) {
            known.of_one = true;
        }
    }

    /// Notes that a call about one thing among many succeeded: if failed calls of that kind were the only trouble of `part`, it
    /// is over.
    pub fn fine_of_one(&self, part: Part) {
        if self.state().problems.get(&part).is_some_and(|problem| problem.of_one) {
            self.fine(part);
        }
    }

    /// Notes that `part` as such works, which doesn't end the trouble of one thing among many that failed just now.
    pub fn fine_as_such(&self, part: Part) {
        let fails = |problem: &Problem| problem.of_one && problem.came.elapsed() < STANDS_FOR;
        if !self.state().problems.get(&part).is_some_and(fails) {
            self.fine(part);
        }
    }

    /// Notes that `part` works; returns whether it was in trouble.
    pub fn fine(&self, part: Part) -> bool {
        let mut state = self.state();
        state.worked.insert(part, Instant::now());
        let Some(problem) = state.problems.remove(&part) else { return false };
        *state.overcome.entry(part).or_default() += 1;
        // The part that told of the problem tells of its end, too.
        let told_elsewhere = state.problems.values().any(|other| other.has_told(&problem.why));
        let how = if part == Part::Start { "done" } else { "fine again" };
        if told_elsewhere {
            debug!(part = part.name(), "{}: {how}", part.name());
        } else {
            info!(part = part.name(), "{}: {how}", part.name());
        }
        self.news.send_replace(());
        true
    }

    /// A receiver that is told whenever the problems change.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Notes why the present settings aren't in force, and logs it when it is news.
    pub fn settings_not_in_force(&self, reason: NotInForce, why: impl Into<String>) {
        let (why, now) = (why.into(), Instant::now());
        let mut state = self.state();
        let is_news = match state.not_in_force.get_mut(&reason) {
            Some(known) => known.again(why.clone(), now),
            None => state.not_in_force.insert(reason, Problem::new(why.clone(), now)).is_none(),
        };
        if is_news {
            warn!(reason = reason.label(), "settings: {why}");
        }
    }

    /// Notes that `reason` keeps the present settings no longer from being in force.
    pub fn settings_in_force(&self, reason: NotInForce) {
        if self.state().not_in_force.remove(&reason).is_some() {
            info!(reason = reason.label(), "settings: fine again");
        }
    }

    /// Whether `reason` keeps the present settings from being in force.
    pub fn is_not_in_force(&self, reason: NotInForce) -> bool {
        self.state().not_in_force.contains_key(&reason)
    }

    /// Notes what PAC's own queue still has to start, which is no trouble, and logs when that begins and when it is over.
    pub fn note_drain(&self, drain: Option<String>) {
        let mut state = self.state();
        match (&state.drain, &drain) {
            (None, Some(what)) => info!("{what}"),
            (Some(_), None) => info!("PAC's own queue has no runs left from before"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        state.drain = drain;
    }

    /// What PAC's own queue still has to start, if anything.
    pub fn drain(&self) -> Option<String> {
        self.state().drain.clone()
    }

    /// Notes that PAC's word on the order of an event's runs is lost, and why; nobody waits because of it.
    pub fn note_lost_orders(&self, lost: Option<String>) {
        let mut state = self.state();
        match (&state.lost_orders, &lost) {
            (None, Some(what)) => warn!(part = Part::Gate.name(), "gate: {what}"),
            (Some(_), None) => {
                info!(part = Part::Gate.name(), "gate: PAC's word on the order of an event's runs is kept again")
            }
            // The API server names another port of its own each time.
            (None, None) | (Some(_), Some(_)) => {}
        }
        state.lost_orders = lost;
    }

    /// Whether `part` is in trouble.
    pub fn is_troubled(&self, part: Part) -> bool {
        self.state().problems.contains_key(&part)
    }

    /// The number of troubles of `part` that are over. It tells a caller of a trouble that came and went between two looks.
    pub fn overcome(&self, part: Part) -> u64 {
        self.state().overcome.get(&part).copied().unwrap_or_default()
    }

    /// The present problem of `part`, if it has one.
    pub fn trouble_of(&self, part: Part) -> Option<String> {
        self.state().problems.get(&part).map(|problem| problem.why.clone())
    }

    /// Whether this watcher admits runs, or would if it led.
    pub fn is_ready(&self) -> bool {
        self.state().problems.is_empty()
    }

    /// Whether it would be ready if `part` were in no trouble.
    pub fn is_ready_but_for(&self, part: Part) -> bool {
        self.state().problems.keys().all(|troubled| *troubled == part)
    }

    /// Every present problem, and what else keeps runs waiting, a line each. Problems of one cause share a line. No line when all
    /// is well.
    pub fn problems_text(&self) -> Vec<String> {
        let state = self.state();
        let mut causes: Vec<(String, &str)> = Vec::new();
        for (part, problem) in &state.problems {
            match causes.iter_mut().find(|(_, why)| problem.why.ends_with(*why)) {
                Some((parts, _)) => *parts = format!("{parts}, {}", part.name()),
                None => causes.push((part.name().to_owned(), &problem.why)),
            }
        }
        let settings = state.not_in_force.values().map(|problem| format!("settings: {}", problem.why));
        let causes = causes.into_iter().map(|(parts, why)| format!("{parts}: {why}"));
        let lost_orders = state.lost_orders.iter().map(|what| format!("{}: {what}", Part::Gate.name()));
        causes.chain(settings).chain(state.drain.clone()).chain(lost_orders).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
