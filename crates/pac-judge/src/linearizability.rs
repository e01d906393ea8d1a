//! Whether a history can be explained by operations that take effect one after the other, each between its call and its return.
//!
//! Wing and Gong's search, in the form that Lowe gave it ("Testing for linearizability", 2017): the history is walked from one
//! return to the next, with all that may be the case so far. A configuration is a state and who of those under way has taken
//! effect. An operation takes effect as late as it can: at a return of one that hasn't, every order of those under way that ends with
//! it is tried. Equal configurations are one, which is the memory that the search needs; of what lies behind nothing is kept. So a
//! history may be long. What makes it slow is many operations under way at once, each of which might be next.
//!
//! An operation whose answer was lost never returns: it may take effect at any time after its call, or never. It would be under way
//! for good, and thousands of them would make thousands of candidates at each step. So a specification says of which operations it is
//! certain that they can't take effect any more ([`Specification::is_spent`]), and they are forgotten.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// What a correct object does, one operation after the other.
pub trait Specification {
    /// What was asked, with the answer there was.
    type Operation;
    /// What the object is like. Equal states allow the same of what follows.
    type State: Clone + Eq + Hash;

    /// The state after `operation` took effect in `state`; none if it can't have had its answer there.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// Whether `operation`, whose answer was lost, can take effect neither in `state` nor in any that may follow. `false` is always right.
    fn is_spent(&self, state: &Self::State, operation: &Self::Operation) -> bool;
}

/// An operation in time. Times are of one clock, of whatever unit.
#[derive(Debug, Clone)]
pub struct Call<O> {
    /// When it was called.
    pub called: u64,
    /// When its answer was there; none if it was lost.
    pub returned: Option<u64>,
    /// What was asked and answered.
    pub operation: O,
}

/// How much was to be searched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effort {
    /// The most that might have been the case at one time.
    pub configurations: usize,
    /// The most that were under way at one time, those whose answer was lost among them.
    pub under_way: usize,
}

/// No order explains the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained<T> {
    /// The call at whose return nothing was left that might have been the case.
    pub call: usize,
    /// The states that might have been until then.
    pub before: Vec<T>,
}

/// What may be the case: a state, and which of the calls under way have taken effect to get there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Configuration<T> {
    state: T,
    /// Those whose effect is over, and that can't take effect again, are left out.
    done: BTreeSet<usize>,
}

/// Searches from `initial`, the states the object may be in at first.
///
/// # Errors
///
/// [`Unexplained`] if no order of the operations explains all answers.
pub fn check<S: Specification>(
    specification: &S,
    initial: impl IntoIterator<Item = S::State>,
    calls: &[Call<S::Operation>],
) -> Result<Effort, Unexplained<S::State>> {
    let mut search = Search::new(specification, initial, calls);
    for event in events(calls) {
        search.pass(event)?;
    }
    Ok(search.effort)
}

/// Which of `calls` are under way at `time` and may still take effect.
pub(crate) fn under_way_at<S: Specification>(
    specification: &S,
    initial: impl IntoIterator<Item = S::State>,
    calls: &[Call<S::Operation>],
    time: u64,
) -> Vec<usize> {
    let mut search = Search::new(specification, initial, calls);
    for event in events(calls).into_iter().take_while(|event| event.time < time) {
        if search.pass(event).is_err() {
            break;
        }
    }
    search.under_way
}

/// A call or a return. At one time calls come first: who is called as another returns is beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    time: u64,
    is_return: bool,
    call: usize,
}

fn events<O>(calls: &[Call<O>]) -> Vec<Event> {
    let mut events = Vec::with_capacity(calls.len() * 2);
    for (number, call) in calls.iter().enumerate() {
        events.push(Event { time: call.called, is_return: false, call: number });
        events.extend(call.returned.map(|time| Event { time, is_return: true, call: number }));
    }
    events.sort_unstable();
    events
}

struct Search<'a, S: Specification> {
    specification: &'a S,
    calls: &'a [Call<S::Operation>],
    under_way: Vec<usize>,
    configurations: HashSet<Configuration<S::State>>,
    effort: Effort,
}

// === impl Effort ===

impl Effort {
    /// The larger of both.
    pub(crate) fn note(&mut self, other: Self) {
        self.configurations = self.configurations.max(other.configurations);
        self.under_way = self.under_way.max(other.under_way);
    }
}

// === impl Search ===

impl<'a, S: Specification> Search<'a, S> {
    fn new(specification: &'a S, initial: impl IntoIterator<Item = S::State>, calls: &'a [Call<S::Operation>]) -> Self {
        let configurations = initial.into_iter().map(|state| Configuration { state, done: BTreeSet::new() }).collect();
        Self { specification, calls, under_way: Vec::new(), configurations, effort: Effort::default() }
    }

    fn pass(&mut self, event: Event) -> Result<(), Unexplained<S::State>> {
        if !event.is_return {
            self.under_way.push(event.call);
            self.effort.under_way = self.effort.under_way.max(self.under_way.len());
            return Ok(());
        }
        let mut next = HashSet::with_capacity(self.configurations.len());
        for configuration in &self.configurations {
            self.explore(configuration, event.call, &mut next);
        }
        if next.is_empty() {
            let before = self.configurations.drain().map(|configuration| configuration.state).collect();
            return Err(Unexplained { call: event.call, before });
        }
        self.configurations = next;
        self.effort.configurations = self.effort.configurations.max(self.configurations.len());
        self.forget(event.call);
        Ok(())
    }

    /// What may be the case once `returning` has taken effect, by every order of those under way that ends with it.
    fn explore(&self, from: &Configuration<S::State>, returning: usize, found: &mut HashSet<Configuration<S::State>>) {
        let mut seen = HashSet::new();
        let mut left = vec![self.look(from.clone())];
        while let Some(mut configuration) = left.pop() {
            if configuration.done.remove(&returning) {
                found.insert(configuration);
                continue;
            }
            for &call in &self.under_way {
                if configuration.done.contains(&call) || self.is_spent(&configuration.state, call) {
                    continue;
                }
                let Some(state) = self.specification.step(&configuration.state, &self.calls[call].operation) else {
                    continue;
                };
                let mut done = configuration.done.clone();
                done.insert(call);
                let mut after = self.look(Configuration { state, done });
                if call == returning {
                    after.done.remove(&call);
                    found.insert(after);
                } else if seen.insert(after.clone()) {
                    left.push(after);
                }
            }
        }
    }

    /// The same with all done that change nothing and have just this answer. Whoever looks may as well look now: it leaves
    /// everything as it is, and all that could follow without it can follow still.
    fn look(&self, mut configuration: Configuration<S::State>) -> Configuration<S::State> {
        let looking = self.under_way.iter().filter(|&&call| {
            let Call { returned, operation, .. } = &self.calls[call];
            returned.is_some()
                && self.specification.step(&configuration.state, operation).as_ref() == Some(&configuration.state)
        });
        configuration.done.extend(looking);
        let state = &configuration.state;
        configuration.done.retain(|&call| !self.is_spent(state, call));
        configuration
    }

    fn is_spent(&self, state: &S::State, call: usize) -> bool {
        let Call { returned, operation, .. } = &self.calls[call];
        returned.is_none() && self.specification.is_spent(state, operation)
    }

    /// Nothing is to be said any more of a call that returned, or that can't take effect whatever is the case.
    fn forget(&mut self, returned: usize) {
        let mut under_way = std::mem::take(&mut self.under_way);
        under_way.retain(|&call| {
            call != returned
                && (self.calls[call].returned.is_some()
                    || self.configurations.iter().any(|configuration| !self.is_spent(&configuration.state, call)))
        });
        self.under_way = under_way;
    }
}
