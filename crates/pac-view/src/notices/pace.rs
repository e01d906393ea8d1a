//! When a change is worth a write, and how many writes there are: pure, its clock is whoever asks.

use std::time::Duration;

use pac_kube::notice::NoticeMark;
use tokio::time::Instant;

/// How closely what runs say of their wait follows what is so.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How long something else must have been so before it is written: who starts within this has nothing written.
    pub settles: Duration,
    /// The least time between two writes on one run. Taking away what it says is for once, and waits for nothing.
    pub rests: Duration,
    /// So many writes a second at most, over all runs.
    pub rate: u32,
    /// An expected start that is off by less than this stands.
    pub off_by: Duration,
    /// The time from one round to the next.
    pub round: Duration,
    /// How long after a look at a queue the next one is, if it moved since, and if not.
    pub looks: (Duration, Duration),
    /// The part of the time that is spent looking: one in so many.
    pub looking: u32,
}

/// The least wait for a write.
const WAIT_LEAST: Duration = Duration::from_millis(1);

/// What is left of the writes there may be.
#[derive(Debug)]
pub(super) struct Budget {
    rate: f64,
    left: f64,
    at: Instant,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self {
            settles: Duration::from_secs(5),
            rests: Duration::from_secs(60),
            rate: 10,
            off_by: Duration::from_secs(15),
            round: Duration::from_secs(1),
            looks: (Duration::from_secs(5), Duration::from_secs(60)),
            looking: 100,
        }
    }
}

impl Pace {
    /// Whether what a run says differs so much from what is so at `now`, in seconds since 1970, that it matters to a person.
    pub fn differs(&self, says: Option<NoticeMark>, is: Option<NoticeMark>, now: i64) -> bool {
        let (Some(says), Some(is)) = (says, is) else { return says != is };
        says.reason() != is.reason()
            || place_differs(says.place(), is.place())
            || self.start_differs(says.expected_start(), is.expected_start(), now)
    }

    /// By a tenth of what is left to wait.
    fn start_differs(&self, says: Option<i64>, is: Option<i64>, now: i64) -> bool {
        let (Some(says), Some(is)) = (says, is) else { return says != is };
        let left = u64::try_from(is.saturating_sub(now)).unwrap_or_default();
        says.abs_diff(is) >= (left / 10).max(self.off_by.as_secs()).max(1)
    }
}

/// By a fifth of the place, and up to the ninth by one.
fn place_differs(says: Option<u32>, is: Option<u32>) -> bool {
    let (Some(says), Some(is)) = (says, is) else { return says != is };
    says.abs_diff(is) >= (is / 5).max(1)
}

// === impl Budget ===

impl Budget {
    pub(super) fn new(rate: u32, now: Instant) -> Self {
        Self { rate: f64::from(rate.max(1)), left: 1.0, at: now }
    }

    /// Takes one write; or says how long none is left. What isn't used within a second is lost.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * self.rate;
        (self.left, self.at) = ((self.left + gained).min(self.rate), now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        // What rounding leaves to wait for can be less than a clock can tell: whoever waited for that would ask again at once, for ever
        // while time stands still.
        Err(Duration::from_secs_f64((1.0 - self.left) / self.rate).max(WAIT_LEAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: fn() -> Pace = Pace::default;

    fn says(place: u32, expected_start: Option<i64>) -> Option<NoticeMark> {
        Some(NoticeMark::new(Some(place), 1, expected_start))
    }

    #[test]
    fn a_place_matters_by_steps_that_grow_with_it() {
        let steps =
            |from: u32| (0..from).rev().position(|place| PACE().differs(says(from, None), says(place, None), 0));
        assert_eq!([1, 2, 10, 11, 50, 1000].map(steps), [1, 1, 1, 2, 8, 166].map(|step| Some(step - 1)));
        assert!(PACE().differs(says(8, None), says(9, None), 0) && !PACE().differs(says(22, None), says(23, None), 0));
    }

    #[test]
    fn whoever_waits_for_as_long_as_he_is_told_gets_a_write() {
        for millisecond in 1..1_000 {
            let mut now = Instant::now();
            let mut budget = Budget::new(10, now);
            assert_eq!(budget.take(now), Ok(()));
            now += Duration::from_millis(millisecond);
            let mut asked = 0;
            while let Err(wait) = budget.take(now) {
                asked += 1;
                assert!(asked < 3, "after {millisecond} ms it is told to wait for {wait:?}, again and again");
                now += wait;
            }
        }
    }

    #[test]
    fn a_start_matters_by_a_tenth_of_what_is_left_to_wait() {
        let differs = |told: i64, is: i64, now: i64| PACE().differs(says(1, Some(told)), says(1, Some(is)), now);
        assert!(!differs(10_000, 10_099, 9_000) && differs(10_000, 10_120, 9_000));
        assert!(!differs(10_000, 10_014, 9_990) && differs(10_000, 10_015, 9_990), "less than 15 s is nothing");
        assert!(
            PACE().differs(says(1, None), says(1, Some(5)), 0) && PACE().differs(says(1, Some(5)), says(1, None), 0)
        );
    }

    #[test]
    fn another_reason_matters_and_so_does_what_is_to_go() {
        let other = Some(NoticeMark::new(Some(1), 2, None));
        assert!(PACE().differs(says(1, None), other, 0) && !PACE().differs(other, other, 0));
        assert!(PACE().differs(other, None, 0) && PACE().differs(None, other, 0) && !PACE().differs(None, None, 0));
    }

    #[test]
    fn no_second_has_more_writes_than_there_may_be() {
        let began = Instant::now();
        let mut budget = Budget::new(10, began);
        // Somebody who asks every millisecond, but for a while in between.
        let asks = (0..3_000).chain(8_000..12_000).map(|at| began + Duration::from_millis(at));
        let writes: Vec<Instant> = asks.filter(|now| budget.take(*now).is_ok()).collect();
        let most = writes.iter().map(|first| {
            writes.iter().filter(|other| *first <= **other && **other < *first + Duration::from_secs(1)).count()
        });
        assert!(most.max().unwrap() <= 20, "those that were saved, and those of that second");
        assert!((78..=82).contains(&writes.len()), "{}", writes.len());
    }
}
