//! From a scenario that breaks a promise to a small one that does, too.
//!
//! What is left out first is large: half of the time, all faults of one kind, a Repository with all its runs. Then steps are left out in chunks,
//! first large and then small ones (delta debugging). What is left is not the smallest there is, but nothing of it can be missed alone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::part::Part;
use crate::schedule::Step;
use crate::simulation::Breach;

/// How often it is tried with less, at most, and for how long.
const TRIES: usize = 600;
const TRIES_FOR: Duration = Duration::from_secs(900);
/// Nobody need look for less than this.
const SHORTEST: Duration = Duration::from_secs(5);

/// A part of a scenario that breaks a promise of those that the whole broke.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// What is left.
    pub part: Part,
    /// The steps that are left, a line each.
    pub told: Vec<String>,
    /// What is broken with these alone.
    pub breach: Breach,
}

/// Tries parts, and keeps the smallest so far that breaks a promise.
struct Shrinking<'a> {
    seed: u64,
    least: Shrunk,
    wanted: BTreeSet<String>,
    simulate: &'a dyn Fn(&Part) -> Result<Option<Breach>>,
    progress: &'a mut dyn FnMut(&Part, usize, usize),
    tries: usize,
    began: Instant,
}

/// Leaves out what can be left out of `whole`, which broke `breach`. `simulate` says what a part breaks; `progress` is told after each try what is left,
/// how many steps that has, and how many tries there were.
///
/// # Errors
///
/// Those of `simulate`.
pub fn shrink(
    seed: u64,
    whole: &Part,
    breach: &Breach,
    simulate: &dyn Fn(&Part) -> Result<Option<Breach>>,
    progress: &mut dyn FnMut(&Part, usize, usize),
) -> Result<Shrunk> {
    let wanted = breach.promises.iter().cloned().collect();
    let least = Shrunk { part: whole.clone(), told: Vec::new(), breach: breach.clone() };
    let mut shrinking = Shrinking { seed, least, wanted, simulate, progress, tries: 0, began: Instant::now() };
    shrinking.less_time()?;
    shrinking.fewer_kinds()?;
    shrinking.fewer_repositories()?;
    shrinking.fewer_steps()?;
    shrinking.less_time()?;
    let Shrunk { part, breach, .. } = shrinking.least;
    let steps = part.steps(&part.scenario(seed));
    let line =
        |(number, step): &(usize, Step)| format!("{number:>5} {:>9.3} s  {:?}", step.at.as_secs_f64(), step.action);
    Ok(Shrunk { told: steps.iter().map(line).collect(), part, breach })
}

// === impl Shrinking ===

impl Shrinking<'_> {
    /// Whether `part` breaks one of the promises, too; then it is the least so far.
    fn is_enough(&mut self, part: Part) -> Result<bool> {
        if self.tries >= TRIES || self.began.elapsed() > TRIES_FOR {
            return Ok(false);
        }
        self.tries += 1;
        let broken = (self.simulate)(&part)?;
        let left = self.steps_of(&self.least.part).len();
        (self.progress)(&self.least.part, left, self.tries);
        let Some(breach) = broken.filter(|broken| broken.promises.iter().any(|id| self.wanted.contains(id))) else {
            return Ok(false);
        };
        self.least = Shrunk { part, breach, told: Vec::new() };
        Ok(true)
    }

    fn less_time(&mut self) -> Result<()> {
        for share in [0.25, 0.5, 0.75, 0.9] {
            while self.least.part.lasts() > SHORTEST
                && self.is_enough(Part { hours: self.least.part.hours * share, ..self.least.part.clone() })?
            {
            }
        }
        Ok(())
    }

    fn fewer_kinds(&mut self) -> Result<()> {
        let steps = self.least.part.steps(&self.least.part.scenario(self.seed));
        let kinds: BTreeSet<String> = steps.iter().map(|(_, step)| step.action.kind()).collect();
        for kind in kinds {
            let others = self.least.part.steps(&self.least.part.scenario(self.seed)).into_iter();
            let others = others.filter(|(_, step)| step.action.kind() != kind).map(|(number, _)| number).collect();
            self.is_enough(Part { steps: Some(others), ..self.least.part.clone() })?;
        }
        Ok(())
    }

    fn fewer_repositories(&mut self) -> Result<()> {
        let all = 0..self.least.part.scenario(self.seed).repositories;
        for number in all.clone() {
            let part = &self.least.part;
            let others = all.clone().filter(|other| *other != number && part.has_repository(*other)).collect();
            self.is_enough(Part { repositories: Some(others), ..part.clone() })?;
        }
        Ok(())
    }

    fn fewer_steps(&mut self) -> Result<()> {
        let mut kept = self.steps_of(&self.least.part);
        let mut chunk = kept.len().div_ceil(2);
        while chunk > 0 {
            let (mut at, mut is_shorter) = (0, false);
            while at < kept.len() {
                let end = (at + chunk).min(kept.len());
                let fewer = [&kept[..at], &kept[end..]].concat();
                if self.is_enough(Part { steps: Some(fewer.clone()), ..self.least.part.clone() })? {
                    (kept, is_shorter) = (fewer, true);
                } else {
                    at = end;
                }
            }
            if chunk > 1 || !is_shorter {
                chunk /= 2;
            }
        }
        Ok(())
    }

    fn steps_of(&self, part: &Part) -> Vec<usize> {
        part.steps(&part.scenario(self.seed)).into_iter().map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A simulation that breaks a promise if a watcher is killed and then something is pushed to Repository 1.
    fn simulate(seed: u64, part: &Part) -> Result<Option<Breach>> {
        let steps = part.steps(&part.scenario(seed));
        let killed = steps.iter().position(|(_, step)| step.action.kind() == "Crash");
        let is_push = |step: &(usize, Step)| step.1.action.kind() == "Push" && step.1.action.repository() == Some(1);
        let is_broken = killed.is_some_and(|killed| steps[killed..].iter().any(is_push));
        Ok(is_broken.then(|| Breach { promises: vec!["P1".to_owned()], how: String::new() }))
    }

    #[test]
    fn what_is_not_needed_is_left_out() {
        let whole = Part::whole(0.05);
        let broken = (1..).find_map(|seed| Some((seed, simulate(seed, &whole).unwrap()?)));
        let (seed, breach) = broken.unwrap();
        let shrunk = shrink(seed, &whole, &breach, &|part| simulate(seed, part), &mut |_, _, _| {}).unwrap();
        assert_eq!(shrunk.told.len(), 2, "{shrunk:#?}");
        assert!(shrunk.told[0].contains("Crash") && shrunk.told[1].contains("Push"), "{shrunk:#?}");
        assert_eq!(shrunk.part.repositories, Some(vec![1]));
        assert!(shrunk.part.hours < 0.05);
        assert!(simulate(seed, &shrunk.part).unwrap().is_some());
    }

    #[test]
    fn another_promise_is_another_matter() {
        let whole = Part::whole(0.02);
        let breach = Breach { promises: vec!["P2".to_owned()], how: String::new() };
        let shrunk = shrink(1, &whole, &breach, &|part| simulate(1, part), &mut |_, _, _| {}).unwrap();
        assert_eq!(shrunk.part, whole);
    }
}
