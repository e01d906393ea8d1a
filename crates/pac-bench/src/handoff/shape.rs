//! Work for the hand-off: repositories at their limit, and how quickly it could be done.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// So many repositories with the same limit, and so many runs each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// For people.
    pub(super) name: &'static str,
    pub(super) repositories: usize,
    pub(super) runs: usize,
    pub(super) limit: u32,
    /// How long runs take, on average.
    duration: Duration,
    /// Whether they take all the same, so that whole repositories' slots become free in one moment.
    alike: bool,
}

/// What is written to the API server in the life of a run: it is created, Tekton says twice how it is, the watcher starts it,
/// writes its final state and some Events.
const WRITES_A_RUN: f64 = 10.0;
/// How much of what an API server can take is asked of it.
const LOAD: f64 = 0.5;
/// How many runs each slot has, where they take longer.
const RUNS_A_SLOT: usize = 3;
/// How long they take at most.
const LONGEST: Duration = ms(40_000);

/// Each takes some 14 seconds.
pub(super) const SHAPES: [Shape; 4] = [
    Shape { name: "1 repository", repositories: 1, runs: 84, limit: 3, duration: ms(500), alike: false },
    Shape { name: "50 repositories", repositories: 50, runs: 20, limit: 3, duration: ms(2000), alike: false },
    Shape { name: "50 repositories, in step", repositories: 50, runs: 20, limit: 3, duration: ms(2000), alike: true },
    Shape { name: "500 repositories", repositories: 500, runs: 12, limit: 3, duration: ms(3500), alike: false },
];

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

// === impl Shape ===

impl Shape {
    /// How long run `number` of repository `of` takes: from half to one and a half of the average, unless all are alike.
    pub(super) fn duration(&self, of: usize, number: usize) -> Duration {
        if self.alike {
            return self.duration;
        }
        let scattered = (of * 7919 + number * 104_729) % 1000;
        self.duration / 2 + self.duration * u32::try_from(scattered).unwrap_or(0) / 1000
    }

    /// The same on an API server that takes `writes_per_second`, with so much longer runs that it has half of its time left; none
    /// where that would take too long, and where it is the server alone that is waited for.
    pub(super) fn paced(&self, writes_per_second: f64) -> Option<Self> {
        let slots = self.repositories as f64 * f64::from(self.limit);
        let duration = Duration::from_secs_f64(slots * WRITES_A_RUN / (writes_per_second * LOAD));
        if self.alike || duration > LONGEST {
            return None;
        }
        if duration < self.duration {
            return Some(*self);
        }
        let runs = self.runs.min(RUNS_A_SLOT * usize::try_from(self.limit).unwrap_or(1));
        Some(Self { runs, duration, ..*self })
    }

    /// How long all of it takes if each slot is handed on at once, in order.
    pub(super) fn ideal(&self) -> Duration {
        (0..self.repositories).map(|of| self.ideal_of(of)).max().unwrap_or_default()
    }

    fn ideal_of(&self, repository: usize) -> Duration {
        let mut free: BinaryHeap<Reverse<Duration>> = (0..self.limit).map(|_| Reverse(Duration::ZERO)).collect();
        let mut last = Duration::ZERO;
        for number in 0..self.runs {
            let Reverse(start) = free.pop().unwrap_or_default();
            let end = start + self.duration(repository, number);
            last = last.max(end);
            free.push(Reverse(end));
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_api_server_has_half_of_its_time_left() {
        let [one, fifty, in_step, many] = SHAPES;
        assert_eq!(fifty.paced(100_000.0).unwrap().duration, fifty.duration);
        let paced = fifty.paced(150.0).unwrap();
        assert_eq!((paced.duration, paced.runs), (ms(20_000), 9));
        assert!(one.paced(150.0).is_some() && in_step.paced(150.0).is_none() && many.paced(150.0).is_none());
    }

    #[test]
    fn the_ideal_is_what_slots_never_idle_take() {
        let alike = SHAPES[2];
        assert_eq!(alike.ideal(), ms(2000) * 7);
        for shape in SHAPES {
            let work: Duration = (0..shape.runs).map(|number| shape.duration(0, number)).sum();
            assert!(shape.ideal_of(0) >= work / shape.limit, "{shape:?}");
            assert!((10..20).contains(&shape.ideal().as_secs()), "{shape:?}");
        }
    }
}
