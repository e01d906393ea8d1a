//! What is wrong at the moment, in one place: `/ready` answers from it, and the log tells each problem when it comes, when
//! it changes, and when it is over. Not once per failed call.
//!
//! One cause has many ways to show: of a server that is frozen one call says that it doesn't answer, another that it can't be
//! connected to, and both again and again. So each wording is told once in each outage, the page shows the latest that was news,
//! and what one part has told already no other part tells again.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// How long a wording stands against others that were told before it, since it last came: then it is the past.
const STANDS_FOR: Duration = Duration::from_secs(30);
/// So many wordings of one outage are remembered as told. More have something in them that never repeats.
const WORDINGS: usize = 32;

/// What can be in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The settings as last read.
    Settings,
    /// The store of slots and queues.
    Store,
    /// The API server.
    ApiServer,
    /// The watch of PipelineRuns.
    RunWatch,
    /// The watch of Repositories.
    RepositoryWatch,
    /// What keeps PAC's own queue from starting runs beside ours.
    Gate,
    /// What comes before this watcher could admit: the first full lists, a lease in the store, what an earlier version left.
    Start,
}

/// Why the settings there are now may not be in force, while former ones are: nobody waits because of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotInForce {
    /// They can't be used.
    Unusable,
    /// The store they ask for can't be reached.
    Unreachable,
}

/// The problems there are; see the [module](self).
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    problems: BTreeMap<Part, Problem>,
    not_in_force: BTreeMap<NotInForce, Problem>,
    /// What PAC's own queue still has to start, if anything.
    drain: Option<String>,
    /// When each was last seen to work.
    worked: BTreeMap<Part, Instant>,
    /// How many troubles of each are over.
    overcome: BTreeMap<Part, u64>,
}

/// What is wrong with something, in its latest wording.
#[derive(Debug)]
struct Problem {
    why: String,
    /// When it last came in this wording.
    came: Instant,
    /// Every wording it came in since all was well.
    told: HashSet<String>,
    /// Whether all that is known is that a call about one thing among many failed.
    of_one: bool,
}

// === impl Part ===

impl Part {
    /// All there are.
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

    /// Its name, for people.
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
    /// All there are.
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

    /// Whether this cause was told, behind whatever it is the cause of.
    fn has_told(&self, why: &str) -> bool {
        self.told.iter().any(|told| why.ends_with(told.as_str()))
    }

    /// It came again, in these words; says whether nobody has read them yet.
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
            // To have a beginning is no trouble.
            Part::Start => info!(part = part.name(), "{}: {why}", part.name()),
            _ => warn!(part = part.name(), "{}: {why}", part.name()),
        }
        if before != state.problems.get(&part).map(|known| known.why.clone()) {
            self.news.send_replace(());
        }
    }

    /// Notes that a call to `part` failed that began at `began`. If `part` was seen to work since, the failure is of the
    /// past: the last calls of an outage fail when it is over.
    pub fn trouble_of_call(&self, part: Part, began: Instant, why: impl Into<String>) {
        if self.state().worked.get(&part).is_none_or(|worked| *worked < began) {
            self.trouble(part, why);
        }
    }

    /// The same for a call about one thing among many, which `why` names: where `part` is known to be in trouble, each that
    /// fails because of it says no more.
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

    /// Notes that a call about one thing among many came to something: others that failed were the only sign of trouble.
    pub fn fine_of_one(&self, part: Part) {
        if self.state().problems.get(&part).is_some_and(|problem| problem.of_one) {
            self.fine(part);
        }
    }

    /// Notes that `part` as such works, which says nothing of one thing among many that failed just now.
    pub fn fine_as_such(&self, part: Part) {
        let fails = |problem: &Problem| problem.of_one && problem.came.elapsed() < STANDS_FOR;
        if !self.state().problems.get(&part).is_some_and(fails) {
            self.fine(part);
        }
    }

    /// Notes that `part` works; whether it didn't before.
    pub fn fine(&self, part: Part) -> bool {
        let mut state = self.state();
        state.worked.insert(part, Instant::now());
        let Some(problem) = state.problems.remove(&part) else { return false };
        *state.overcome.entry(part).or_default() += 1;
        // Whoever told what was wrong tells the end of it.
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

    /// Changes whenever the problems do.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// Notes why the settings there are now are not in force; says so when it is news.
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

    /// Notes that `reason` keeps no settings from being in force.
    pub fn settings_in_force(&self, reason: NotInForce) {
        if self.state().not_in_force.remove(&reason).is_some() {
            info!(reason = reason.label(), "settings: fine again");
        }
    }

    /// Whether `reason` keeps the settings there are now from being in force.
    pub fn is_not_in_force(&self, reason: NotInForce) -> bool {
        self.state().not_in_force.contains_key(&reason)
    }

    /// Notes what PAC's own queue still has to start, which is no trouble; says so when it begins and when it is over.
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

    /// Whether `part` is in trouble.
    pub fn is_troubled(&self, part: Part) -> bool {
        self.state().problems.contains_key(&part)
    }

    /// How many troubles of `part` are over: more than before if one came and went between two looks.
    pub fn overcome(&self, part: Part) -> u64 {
        self.state().overcome.get(&part).copied().unwrap_or_default()
    }

    /// What is wrong with `part`, if anything is.
    pub fn trouble_of(&self, part: Part) -> Option<String> {
        self.state().problems.get(&part).map(|problem| problem.why.clone())
    }

    /// Whether this watcher admits, or would if it led.
    pub fn is_ready(&self) -> bool {
        self.state().problems.is_empty()
    }

    /// The same, whatever is wrong with this one part.
    pub fn is_ready_but_for(&self, part: Part) -> bool {
        self.state().problems.keys().all(|troubled| *troubled == part)
    }

    /// Every problem there is, and what else keeps somebody waiting, a line each, those of one cause in one; none when all is well.
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
        causes.chain(settings).chain(state.drain.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
