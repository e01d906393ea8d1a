//! When runs are cancelled: after how long somebody loses patience, or pushes anew.
//!
//! A run that was done would have been cancelled later, perhaps; who waits for longer than it did meets that. So what is known of a run
//! that wasn't cancelled is that nobody did so for as long as it was there. From all runs together follows how many are still wanted
//! after how long: Kaplan and Meier's estimate.

/// How many runs are still wanted after how long.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    /// From each of these times on, in seconds, this part of all runs: the times rise, and the parts fall.
    wanted: Vec<(f64, f64)>,
}

// === impl Patience ===

impl Patience {
    /// By runs that were there for so many seconds, each with whether it was cancelled then.
    pub(crate) fn of(runs: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut runs: Vec<(f64, bool)> = runs.into_iter().collect();
        runs.sort_by(|one, other| one.0.total_cmp(&other.0));
        let (mut left, mut part) = (runs.len() as f64, 1.0);
        let mut wanted = Vec::new();
        for (time, is_cancelled) in runs {
            if is_cancelled {
                part *= 1.0 - 1.0 / left;
                wanted.push((time, part));
            }
            left -= 1.0;
        }
        Self { wanted }
    }

    /// After how long a run is cancelled that wasn't for `so_far` seconds; none if it never is. `lot` is drawn, from 0 to 1.
    pub(crate) fn cancels(&self, so_far: f64, lot: f64) -> Option<f64> {
        let known = self.wanted.partition_point(|(time, _)| *time <= so_far);
        let part = known.checked_sub(1).and_then(|last| self.wanted.get(last)).map_or(1.0, |(_, part)| *part);
        let at = self.wanted.partition_point(|(_, wanted)| *wanted > part * lot);
        self.wanted.get(at.max(known)).map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_done_says_nothing_of_what_would_have_come_later() {
        // Of four, one is cancelled after 10 s; of the two that are still there, one after 30 s.
        let patience = Patience::of([(20.0, false), (10.0, true), (40.0, false), (30.0, true)]);
        assert_eq!(patience.wanted, [(10.0, 0.75), (30.0, 0.375)]);
        let cancels = |so_far| [0.9, 0.6, 0.4, 0.1].map(|lot| patience.cancels(so_far, lot));
        assert_eq!(cancels(0.0), [Some(10.0), Some(30.0), Some(30.0), None]);
        assert_eq!(cancels(20.0), [Some(30.0), Some(30.0), None, None], "half of those that are still wanted");
        assert_eq!(cancels(30.0), [None; 4]);
        assert_eq!(Patience::of([(1.0, false)]).cancels(0.0, 0.9), None);
    }
}
