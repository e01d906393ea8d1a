//! From a schedule that breaks a promise to a short one that does, too: delta debugging.
//!
//! Steps are left out in chunks, first large and then small ones, as long as the promise is still broken without them. What is
//! left is not the shortest there is, but no step of it can be missed alone.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::process::Process;
use crate::scenario::Scenario;
use crate::schedule;
use crate::simulation::Breach;

/// How often it is tried with fewer steps, at most.
const TRIES: usize = 400;

/// A schedule with fewer steps that breaks a promise of those that `breach` broke.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The numbers of the steps that are left.
    pub steps: Vec<usize>,
    /// What they are, a line each.
    pub told: Vec<String>,
    /// What is broken with these alone.
    pub breach: Breach,
}

/// Leaves out what can be left out of the steps of `scenario`, which broke `breach`, each try in a `process` of its own; `progress` is told how many are left.
///
/// # Errors
///
/// If a simulation can't be begun.
pub fn shrink(
    scenario: &Scenario,
    breach: &Breach,
    process: impl Fn(&[usize]) -> Process,
    mut progress: impl FnMut(usize),
) -> Result<Shrunk> {
    let all = schedule::draw(scenario);
    let wanted: BTreeSet<String> = breach.promises.iter().cloned().collect();
    let (mut kept, mut breach) = ((0..all.len()).collect::<Vec<_>>(), breach.clone());
    let mut chunk = kept.len().div_ceil(2);
    let mut tries = 0;
    while chunk > 0 && tries < TRIES {
        let (mut at, mut is_shorter) = (0, false);
        while at < kept.len() && tries < TRIES {
            let end = (at + chunk).min(kept.len());
            let fewer = [&kept[..at], &kept[end..]].concat();
            tries += 1;
            let broken = process(&fewer).run()?.broken;
            match broken.filter(|broken| broken.promises.iter().any(|promise| wanted.contains(promise))) {
                Some(broken) => {
                    (kept, breach, is_shorter) = (fewer, broken, true);
                    progress(kept.len());
                }
                None => at = end,
            }
        }
        if chunk > 1 || !is_shorter {
            chunk /= 2;
        }
    }
    let told = kept
        .iter()
        .map(|number| format!("{number:>5} {:>9.3} s  {:?}", all[*number].at.as_secs_f64(), all[*number].action));
    let told = told.collect();
    Ok(Shrunk { steps: kept, told, breach })
}
