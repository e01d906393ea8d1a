//! When those who wait will start, judged by how long slots were held lately.
//!
//! Pure: times in, times out. The slots are played through many times over; in each play every slot is held for as long as
//! one of the recent ones was, drawn by lot, and the queue moves up in order. What comes out is not one time but the range
//! in which nine of ten plays had the start. Fewer recent times make it wider: each play first doubts them all alike.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// Fewer recent times than this say nothing.
pub const FEWEST_TIMES: usize = 3;
/// Nobody further back in the queue gets an estimate.
pub const MOST_POSITIONS: usize = 200;

const PLAYS: usize = 300;
/// Of the plays, so many may start earlier, and as many later. That would leave 19 in 20; what the recent times don't tell
/// of those to come takes the rest, as the test below measures it.
const TAIL: f64 = 0.025;
/// A slot's end is seen, committed and followed by a start within this, in seconds.
const HAND_OFF: f64 = 0.25;

/// When a run will start, in seconds from now: as likely as nine in ten, it lies between the two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Hardly earlier.
    pub earliest: f64,
    /// Hardly later.
    pub latest: f64,
}

/// The first so many of the queue, each with its range, in order. None if too little is known.
///
/// `held_for` are recent times that slots were held, in seconds; `running` how long each taken slot has been held so far;
/// `limit` how many may be taken at once.
pub fn starts(held_for: &[f64], running: &[f64], limit: usize, waiting: usize) -> Vec<Range> {
    let held_for: Vec<f64> = held_for.iter().copied().filter(|time| time.is_finite() && *time >= 0.0).collect();
    if held_for.len() < FEWEST_TIMES || limit == 0 || waiting == 0 {
        return Vec::new();
    }
    let waiting = waiting.min(MOST_POSITIONS);
    let mut plays = vec![Vec::with_capacity(PLAYS); waiting];
    // The same question has the same answer, so that what is looked at again doesn't flicker.
    let mut lot = SmallRng::seed_from_u64(held_for.len() as u64);
    let doubt = doubt(&held_for);
    for _ in 0..PLAYS {
        let stretch = (doubt * normal(&mut lot)).exp();
        let mut ends: Vec<f64> = running.iter().map(|so_far| rest(&held_for, *so_far, stretch, &mut lot)).collect();
        ends.sort_by(f64::total_cmp);
        // Those over a lowered limit drain before anyone is admitted.
        let over = ends.len().saturating_sub(limit);
        let free = limit.saturating_sub(ends.len());
        let ends = ends.into_iter().skip(over).chain(std::iter::repeat_n(0.0, free));
        let mut slots: BinaryHeap<_> = ends.map(|end| Reverse(Time(end))).collect();
        for starts in &mut plays {
            let Some(Reverse(Time(start))) = slots.pop() else { break };
            starts.push(start);
            slots.push(Reverse(Time(start + draw(&held_for, &mut lot) * stretch)));
        }
    }
    plays.into_iter().map(range).collect()
}

fn range(mut starts: Vec<f64>) -> Range {
    starts.sort_by(f64::total_cmp);
    let at = |part: f64| starts.get((part * starts.len() as f64) as usize).or(starts.last()).copied().unwrap_or(0.0);
    Range { earliest: at(TAIL), latest: at(1.0 - TAIL) + HAND_OFF }
}

/// How much of its time a slot still has that was held for `so_far`.
fn rest(held_for: &[f64], so_far: f64, stretch: f64, lot: &mut SmallRng) -> f64 {
    let so_far = so_far.max(0.0);
    let longer: Vec<f64> = held_for.iter().map(|time| time * stretch).filter(|time| *time > so_far).collect();
    if longer.is_empty() {
        // Longer than any before: it may end now, or go on for as long again.
        return so_far * lot.random::<f64>();
    }
    draw(&longer, lot) - so_far
}

fn draw(times: &[f64], lot: &mut SmallRng) -> f64 {
    times.get(lot.random_range(0..times.len())).copied().unwrap_or(0.0)
}

/// How far off the mean of so few times may be, as a part of it; at least a little.
fn doubt(times: &[f64]) -> f64 {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let spread = if mean > 0.0 { variance.sqrt() / mean } else { 0.0 };
    // A spread told by a handful of times is itself told badly.
    (1.25 * spread * (1.0 + 2.0 / count) / count.sqrt()).max(0.02)
}

/// A number about 0, as chance has it: the sum of twelve even ones has its spread.
fn normal(lot: &mut SmallRng) -> f64 {
    (0..12).map(|_| lot.random::<f64>()).sum::<f64>() - 6.0
}

#[derive(PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(range: Range, expected: f64) -> bool {
        range.earliest <= expected && expected <= range.latest && range.latest - range.earliest < expected * 0.3 + 0.5
    }

    #[test]
    fn slots_that_are_always_held_as_long_free_one_after_the_other() {
        let ranges = starts(&[10.0; 20], &[4.0, 7.0], 2, 4);
        let expected = [3.0, 6.0, 13.0, 16.0];
        assert!(ranges.iter().zip(expected).all(|(range, expected)| around(*range, expected)), "{ranges:?}");
    }

    #[test]
    fn a_free_slot_means_now_and_those_over_the_limit_drain_first() {
        let now = starts(&[10.0; 20], &[4.0], 2, 1)[0];
        assert_eq!((now.earliest, now.latest), (0.0, HAND_OFF));
        let drained = starts(&[10.0; 20], &[1.0, 2.0, 3.0], 1, 1)[0];
        assert!(around(drained, 9.0), "{drained:?}");
    }

    #[test]
    fn nothing_is_said_without_anything_to_go_by() {
        assert!(starts(&[10.0; 2], &[1.0], 1, 1).is_empty());
        assert!(starts(&[10.0, f64::NAN, -1.0], &[1.0], 1, 1).is_empty());
        assert!(starts(&[10.0; 9], &[1.0], 0, 1).is_empty());
        assert_eq!(starts(&[10.0; 9], &[1.0], 1, 100_000).len(), MOST_POSITIONS);
    }

    #[test]
    fn one_that_runs_longer_than_any_before_may_end_now_or_go_on_as_long_again() {
        let range = starts(&[10.0; 20], &[100.0], 1, 1)[0];
        assert!(range.earliest < 10.0 && range.latest > 80.0 && range.latest < 101.0, "{range:?}");
    }

    /// Queues whose times are drawn from three quite different habits, looked at by somebody who knows a few of them.
    #[test]
    fn nine_of_ten_starts_lie_within_the_range() {
        type Habit = fn(&mut SmallRng) -> f64;
        let habits: [(&str, Habit); 3] = [
            ("much alike", |lot| 60.0 * (0.1 * normal(lot)).exp()),
            ("a long tail", |lot| 60.0 * (0.8 * normal(lot)).exp()),
            ("short or long", |lot| if lot.random_bool(0.3) { 300.0 } else { 30.0 } * (0.1 * normal(lot)).exp()),
        ];
        let mut lot = SmallRng::seed_from_u64(7);
        for (name, time) in habits {
            for known in [8, 16, 64] {
                let (mut within, mut asked) = (0, 0);
                for _ in 0..100 {
                    let held_for: Vec<f64> = (0..known).map(|_| time(&mut lot)).collect();
                    let limit = lot.random_range(1..=4);
                    let taken: Vec<(f64, f64)> = (0..limit).map(|_| taken_slot(time, &mut lot)).collect();
                    let running: Vec<f64> = taken.iter().map(|(so_far, _)| *so_far).collect();
                    let ranges = starts(&held_for, &running, limit, 12);
                    let mut slots: BinaryHeap<_> = taken.iter().map(|(_, rest)| Reverse(Time(*rest))).collect();
                    for range in ranges {
                        let Reverse(Time(start)) = slots.pop().unwrap();
                        slots.push(Reverse(Time(start + time(&mut lot))));
                        asked += 1;
                        within += usize::from(range.earliest <= start && start <= range.latest);
                    }
                }
                let part = f64::from(within as u32) / f64::from(asked);
                println!("{name}, {known} known: {part:.3}");
                assert!(part >= 0.9, "{name}, {known} known: {part}");
            }
        }
    }

    /// A slot as somebody finds it who looks at any time: how long it has been held, and how long it still will be.
    fn taken_slot(time: fn(&mut SmallRng) -> f64, lot: &mut SmallRng) -> (f64, f64) {
        let look = 10_000.0 * (1.0 + lot.random::<f64>());
        let mut taken = 0.0;
        loop {
            let held = time(lot);
            if taken + held > look {
                return (look - taken, taken + held - look);
            }
            taken += held;
        }
    }
}
