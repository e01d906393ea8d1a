//! Weeks of three shapes.

use rand::Rng;
use rand::rngs::SmallRng;

/// A week, in seconds.
pub(crate) const WEEK: f64 = 7.0 * 86_400.0;

/// What comes, and how long it takes.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// Events in an hour, at this second of the week.
    pub(crate) events_an_hour: fn(f64) -> f64,
    /// An event has one run to so many.
    pub(crate) runs_of_event: u32,
    /// How long a run takes, in seconds.
    pub(crate) duration: fn(&mut SmallRng) -> f64,
    /// Under the first of these limits the week is played and recorded; advice is sought for the second.
    pub(crate) limits: [(u32, u32); 2],
}

/// More than ever come in an hour.
pub(crate) const MOST_AN_HOUR: f64 = 60.0;

pub(crate) const SHAPES: [Shape; 3] = [
    Shape {
        name: "steady",
        events_an_hour: |_| 20.0,
        runs_of_event: 1,
        duration: |lot| log_normal(lot, 540.0, 0.5),
        limits: [(5, 4), (4, 5)],
    },
    Shape {
        name: "working hours",
        events_an_hour: |second| if is_working_hour(second) { 12.0 } else { 0.5 },
        runs_of_event: 4,
        duration: |lot| log_normal(lot, 480.0, 0.6),
        limits: [(4, 6), (6, 4)],
    },
    Shape {
        name: "heavy tail",
        events_an_hour: |second| if is_working_hour(second) { 30.0 } else { 8.0 },
        runs_of_event: 1,
        // Pareto's, from 3 minutes on: one in a hundred takes an hour, none more than 4.
        duration: |lot| (180.0 * (1.0 - lot.random::<f64>()).powf(-1.0 / 1.5)).min(4.0 * 3600.0),
        limits: [(5, 4), (4, 5)],
    },
];

fn is_working_hour(second: f64) -> bool {
    let (day, hour) = ((second / 86_400.0) as u32, second % 86_400.0 / 3600.0);
    day < 5 && (8.0..18.0).contains(&hour)
}

/// By its median, and how far its logarithm spreads.
pub(crate) fn log_normal(lot: &mut SmallRng, median: f64, spread: f64) -> f64 {
    median * (spread * normal(lot)).exp()
}

fn normal(lot: &mut SmallRng) -> f64 {
    (0..12).map(|_| lot.random::<f64>()).sum::<f64>() - 6.0
}

/// How long until the next one, if so many come in a second.
pub(crate) fn exponential(lot: &mut SmallRng, a_second: f64) -> f64 {
    -(1.0 - lot.random::<f64>()).ln() / a_second
}
