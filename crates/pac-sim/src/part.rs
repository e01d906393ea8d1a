//! What of a scenario is simulated: all of it, or the little that is enough to break a promise.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use crate::scenario::Scenario;
use crate::schedule::{self, Step};

/// A part of a scenario. Less of one leaves the rest as it is: a schedule is drawn whole, and what is left out of it just doesn't happen.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// How long it storms, in virtual hours.
    pub hours: f64,
    /// The numbers of the Repositories that there are; all if absent.
    pub repositories: Option<Vec<usize>>,
    /// The numbers of the schedule's steps that happen; all if absent.
    pub steps: Option<Vec<usize>>,
}

// === impl Part ===

impl Part {
    /// All of it, for so many hours.
    pub fn whole(hours: f64) -> Self {
        Self { hours, repositories: None, steps: None }
    }

    /// How long it storms.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.hours * 3_600.0)
    }

    /// The scenario of `seed`, for as long as it storms.
    pub fn scenario(&self, seed: u64) -> Scenario {
        Scenario::of(seed, self.lasts())
    }

    /// Whether there is the Repository of this number.
    pub(crate) fn has_repository(&self, number: usize) -> bool {
        self.repositories.as_ref().is_none_or(|numbers| numbers.contains(&number))
    }

    /// The steps that happen, each with its number.
    pub(crate) fn steps(&self, scenario: &Scenario) -> Vec<(usize, Step)> {
        let happens = |(number, step): &(usize, Step)| {
            self.steps.as_ref().is_none_or(|steps| steps.contains(number))
                && step.action.repository().is_none_or(|repository| self.has_repository(repository))
        };
        schedule::draw(scenario).into_iter().enumerate().filter(happens).collect()
    }

    /// As options of the simulator.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        self.to_string().split(' ').map(OsString::from).collect()
    }
}

/// As options of the simulator, too.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--hours {}", self.hours)?;
        for (option, numbers) in [("repositories", &self.repositories), ("steps", &self.steps)] {
            let Some(numbers) = numbers else { continue };
            let listed = numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            write!(f, " --{option} {}", if listed.is_empty() { "none" } else { &listed })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_told_as_it_is_asked_for() {
        let part = Part { hours: 0.1, repositories: Some(vec![0, 2]), steps: Some(Vec::new()) };
        assert_eq!(part.to_string(), "--hours 0.1 --repositories 0,2 --steps none");
        assert_eq!(Part::whole(2.5).to_string(), "--hours 2.5");
    }

    #[test]
    fn less_of_a_scenario_leaves_the_rest_as_it_is() {
        let whole = Part::whole(0.1);
        let all = whole.steps(&whole.scenario(7));
        let shorter = Part::whole(0.05);
        let first = shorter.steps(&shorter.scenario(7));
        assert_eq!(first, all[..first.len()]);
        let part = Part { repositories: Some(vec![1]), steps: Some((0..90).collect()), ..whole };
        let some = part.steps(&part.scenario(7));
        let is_left =
            |step: &&(usize, Step)| step.0 < 90 && step.1.action.repository().is_none_or(|number| number == 1);
        assert_eq!(some, all.iter().filter(is_left).cloned().collect::<Vec<_>>());
        assert!(some.len() < 90, "{}", some.len());
    }
}
