//! The exploration: every state there is, the promises in each, and from each a way to the end.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model, Property};

use pac_concurrency::RunKey;

use crate::protocol::{Action, Protocol};
use crate::scenario::{Budget, Scenario};
use crate::system::{Breach, PROMISES, System};

/// How often time may pass before all must be done once nothing else goes wrong: 5 minutes.
const PATIENCE: u32 = 60;

/// How often it is told how far an exploration is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What can be explored.
struct Exploration {
    protocol: Protocol,
    /// Known to come to an end.
    drained: Mutex<HashSet<u64>>,
    /// Whether a broken promise was found: the first one is reported, to which no way is shorter.
    is_broken: AtomicBool,
}

/// How far an exploration is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// How many states were seen.
    pub states: usize,
    /// How many steps the farthest of them is away.
    pub depth: usize,
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// How many states there are.
    pub states: usize,
    /// How many steps were tried.
    pub steps: usize,
    /// How many steps the farthest state is away.
    pub depth: usize,
    /// Whether that is all of them.
    pub whole: bool,
    /// How many states one watcher was in, and how many inputs it was given in them.
    pub of_a_watcher: (usize, usize),
    /// How long it took.
    pub took: Duration,
    /// What is broken, if anything.
    pub broken: Option<Broken>,
}

/// A promise that is broken.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub promise: &'static str,
    /// How.
    pub how: &'static str,
    /// The steps that lead there.
    pub steps: Vec<String>,
    /// For P4: what happens from there on when nothing goes wrong, until nothing happens any more.
    pub then: Vec<String>,
}

// === impl Exploration ===

impl Exploration {
    /// P4: once nothing goes wrong any more, all that waits is started and ends, and nothing is left in the store. One fair order
    /// of events is followed from every state; since each step of it is one that the system can make, no state is a dead end, and
    /// whoever is fair to every step gets there.
    fn drains(&self, system: &System) -> bool {
        self.drain(system).is_ok()
    }

    /// What the checker is to take for the truth, where something `holds` or not.
    fn is_fine(&self, holds: bool) -> bool {
        holds || self.is_broken.swap(true, Ordering::Relaxed)
    }

    fn drain(&self, system: &System) -> Result<(), (Vec<Action>, Option<Breach>)> {
        let budget = Budget { refused: system.budget.refused, ..Budget::default() };
        let mut at = system.clone();
        at.budget = budget;
        let (mut passed, mut steps, mut ticks) = (Vec::new(), Vec::new(), 0);
        // What is broken already is reported as what it is.
        while system.breach.is_none() {
            if self.drained().contains(&digest(&at)) {
                break;
            }
            if at.breach.is_some() {
                // Found as what it is, unless the scenario has no time that passes.
                let is_reached = ticks == 0 || self.protocol.has_ticks();
                return if is_reached { Ok(()) } else { Err((steps, at.breach)) };
            }
            let actions = self.protocol.actions_of(&at);
            let hasty = actions.into_iter().filter_map(|action| Some((action.haste()?, action)));
            let next = hasty.min_by_key(|(haste, _)| *haste);
            let action = match next {
                Some((_, action)) => action,
                None if at.is_settled() => break,
                None if ticks < PATIENCE => {
                    ticks += 1;
                    Action::Tick
                }
                None => return Err((steps, None)),
            };
            // There are only so many terms.
            let Some(after) = self.protocol.after(&at, action) else { break };
            steps.push(action);
            if steps.len() > 10_000 {
                return Err((steps, None));
            }
            passed.push(digest(&at));
            at = after;
        }
        self.drained().extend(passed);
        Ok(())
    }

    fn drained(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.drained.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(system: &System) -> u64 {
    let mut digest = DefaultHasher::new();
    system.hash(&mut digest);
    digest.finish()
}

impl Model for Exploration {
    type State = System;
    type Action = Action;

    fn init_states(&self) -> Vec<System> {
        vec![self.protocol.first()]
    }

    fn actions(&self, state: &System, actions: &mut Vec<Action>) {
        actions.extend(self.protocol.actions_of(state));
    }

    fn next_state(&self, last_state: &System, action: Action) -> Option<System> {
        self.protocol.after(last_state, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn keeps(model: &Exploration, system: &System, promise: &str) -> bool {
            model.is_fine(system.breach.is_none_or(|(broken, _)| broken != promise))
        }
        let mut properties = vec![
            Property::always(PROMISES[0], |model: &Self, system| keeps(model, system, PROMISES[0])),
            Property::always(PROMISES[1], |model: &Self, system| keeps(model, system, PROMISES[1])),
            Property::always(PROMISES[2], |model: &Self, system| keeps(model, system, PROMISES[2])),
            Property::always(PROMISES[3], |model: &Self, system| keeps(model, system, PROMISES[3])),
            Property::always(PROMISES[4], |model: &Self, system| keeps(model, system, PROMISES[4])),
            Property::always(PROMISES[5], |model: &Self, system| keeps(model, system, PROMISES[5])),
        ];
        properties.push(Property::always("P4", |model: &Self, system| model.is_fine(model.drains(system))));
        properties
    }
}

/// Explores `scenario` until all was seen, or a promise was found broken; `tell` is told every ten seconds how far it is.
///
/// # Panics
///
/// If a thread that explores does.
pub fn explore(scenario: Scenario, threads: usize, mut tell: impl FnMut(Progress)) -> Found {
    let began = Instant::now();
    let exploration =
        Exploration { protocol: Protocol::new(scenario), drained: Mutex::default(), is_broken: AtomicBool::new(false) };
    let mut checker = exploration.checker().threads(threads).finish_when(HasDiscoveries::Any).spawn_bfs();
    let (explorers, mut told_at) = (checker.handles(), began);
    while !explorers.iter().all(JoinHandle::is_finished) {
        std::thread::sleep(Duration::from_millis(10));
        if told_at.elapsed() > TELL_EVERY {
            told_at = Instant::now();
            tell(Progress { states: checker.unique_state_count(), depth: checker.max_depth() });
        }
    }
    for explorer in explorers {
        explorer.join().unwrap_or_else(|panic| resume_unwind(panic));
    }
    let model = checker.model();
    let broken = checker.discoveries().into_iter().next().map(|(promise, path)| {
        let last = path.last_state().clone();
        let (mut steps, mut then, mut shown) = (Vec::new(), Vec::new(), String::new());
        let path = path.into_vec();
        for ((_, action), (after, _)) in path.iter().zip(path.iter().skip(1)) {
            let Some(action) = action else { break };
            steps.push(step(*action, after, &mut shown));
        }
        let (mut promise, mut how) = last.breach.unwrap_or((promise, "not all comes to an end"));
        if let Err((more, broken)) = model.drain(&last) {
            then = more.iter().map(|action| format!("{action:?}")).collect();
            (promise, how) = broken.unwrap_or((promise, how));
        }
        Broken { promise, how, steps, then }
    });
    Found {
        states: checker.unique_state_count(),
        steps: checker.state_count(),
        depth: checker.max_depth(),
        whole: checker.is_done() && broken.is_none(),
        of_a_watcher: model.protocol.of_a_watcher(),
        took: began.elapsed(),
        broken,
    }
}

/// A step for people, with what there is after it, if that isn't what was shown last.
fn step(action: Action, after: &System, shown: &mut String) -> String {
    let summary = after.summary();
    if *shown == summary {
        return format!("{action:?}");
    }
    let step = format!("{action:?}: {summary}");
    *shown = summary;
    step
}

// === impl System ===

impl System {
    /// For people.
    fn summary(&self) -> String {
        let names = |runs: &mut dyn Iterator<Item = &RunKey>| runs.map(RunKey::uid).collect::<Vec<_>>().join(" ");
        let lives: Vec<_> = self.cluster.runs().map(|(_, life)| format!("{life:?}")).collect();
        let held: Vec<_> =
            self.store.slots.values().map(|slot| format!("{} by {}", slot.entry.run.uid(), slot.holder)).collect();
        let waiting = names(&mut self.store.waiting.iter().map(|entry| &entry.run));
        format!("{}; slots [{}], waiting [{waiting}], {:?}", lives.join(" "), held.join(", "), self.starts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Life;
    use crate::scenario::Slow;

    /// How many states there are when none is left out because another is like it, and how many of those are like no other.
    fn explored_one_by_one(scenario: Scenario) -> (usize, usize) {
        let protocol = Protocol::new(scenario);
        let mut left = vec![protocol.first()];
        let mut seen = HashSet::from([left[0].exact_digest()]);
        let mut unlike = HashSet::from([digest(&left[0])]);
        while let Some(system) = left.pop() {
            for action in protocol.actions_of(&system) {
                let Some(after) = protocol.after(&system, action) else { continue };
                if seen.insert(after.exact_digest()) {
                    unlike.insert(digest(&after));
                    left.push(after);
                }
            }
        }
        (seen.len(), unlike.len())
    }

    #[test]
    fn what_is_taken_to_be_alike_goes_on_alike() {
        let scenario = |slow, budget| Scenario {
            watchers: 2,
            runs: vec![Life::Pending],
            limit: 1,
            limits: vec![],
            window: 128,
            slow,
            ticks: false,
            lease: None,
            terms: 4,
            budget,
        };
        let killed = scenario(Slow::Nobody, Budget { crashes: 1, ..Budget::default() });
        let lost = scenario(Slow::Nobody, Budget { lost_commits: 1, lost_starts: 1, refusals: 1, ..Budget::default() });
        for scenario in [killed, lost, scenario(Slow::Everybody, Budget::default())] {
            let (all, unlike) = explored_one_by_one(scenario.clone());
            // Were two taken to be alike that aren't, what comes of one of them would be missing.
            assert_eq!(explore(scenario, 1, |_| ()).states, unlike);
            assert!(unlike * 2 < all, "{unlike} of {all}");
        }
    }
}
