//! Whether advice comes true: weeks are played under one limit, and advice for another is compared with what comes of that.
//!
//! What plays them (`play`) knows nothing of the replay: it has its own queue and its own clock, and a run of the second play
//! takes another time than in the first. Runs are pushed because others ended, some are cancelled, and what is asked of the watcher is
//! what its store would have kept. `ADVICE_WEEKS=30 cargo test -p pac-advice --release --test weeks -- --nocapture` plays more of
//! each, and prints what docs/operations.md has.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod play;
mod shapes;

use std::num::NonZeroU32;

use pac_advice::{Advice, advise};
use pac_queue::history::History;
use pac_queue::times::{QueueTimes, RuleView, RunTimesView};
use pac_queue::view::{LimitView, WatcherView};
use pac_queue::week::{Outcome, Rule, RunTimes, Running, Week, timestamp};

use crate::play::{Played, play};
use crate::shapes::{SHAPES, Shape, WEEK};

/// When the weeks begin, in seconds since 1970: on a Monday.
const BEGIN: f64 = 1_764_547_200.0;
/// How far off a prediction may be, as a part of what came.
const WITHIN: f64 = 0.15;

fn tenths(seconds: f64) -> i64 {
    ((BEGIN + seconds) * 10.0).round() as i64
}

/// What a watcher answers at the end of the week, after its store gave the history back.
fn times(played: &[Played], limit: u32) -> QueueTimes {
    let mut history = History::default();
    history.week.ruled(Rule { at: tenths(0.0), limit: Some(limit) });
    let mut left: Vec<&Played> = played.iter().filter(|run| run.end().is_some_and(|end| end <= WEEK)).collect();
    left.sort_by(|one, other| one.end().unwrap().total_cmp(&other.end().unwrap()));
    let since = |from: f64, to: f64| ((to - from) * 10.0).round() as u32;
    for run in left {
        let waited_until = run.started.or(run.end()).unwrap();
        history.week.ended(RunTimes {
            arrived: tenths(run.arrived),
            event: ((BEGIN + run.event).floor() as i64 - tenths(run.arrived).div_euclid(10)) as i32,
            position: run.position,
            waited: since(run.arrived, waited_until),
            held: run.started.map(|started| since(started, run.end().unwrap())),
            outcome: if run.cancelled { Outcome::Left } else { Outcome::Done },
        });
    }
    let unfinished = |run: &&Played| run.arrived <= WEEK && run.end().is_none_or(|end| end > WEEK);
    let running = |run: &&Played| run.started.is_some_and(|started| started <= WEEK);
    for run in played.iter().filter(unfinished).filter(running) {
        let waited = since(run.arrived, run.started.unwrap());
        let of = Running { arrived: tenths(run.arrived), event: 0, position: run.position, waited };
        history.week.started(&format!("uid-{}", run.number), of);
    }
    let week: Week = History::parse(&history.text()).unwrap().week;
    let now = timestamp(tenths(WEEK));
    let mut runs = RunTimesView::of_week(&week, now, |_| true);
    let waiting = played.iter().filter(unfinished).filter(|run| !running(run));
    runs.extend(waiting.map(|run| RunTimesView::waiting(timestamp(tenths(run.arrived)), now)));
    let watcher = serde_json::json!({
        "at": now, "identity": "w", "leading": true, "system": "on", "driver": "memory", "trouble": []
    });
    QueueTimes {
        watcher: serde_json::from_value::<WatcherView>(watcher).unwrap(),
        repository: "ns/repo".to_owned(),
        limit: LimitView { text: limit.to_string(), why: None },
        paused: None,
        rules: RuleView::of_week(&week),
        runs,
    }
}

/// What nine of ten that arrived within the week waited at most.
fn p90(played: &[Played]) -> f64 {
    let waited = |run: &Played| Some(run.started? - run.arrived);
    let mut waits: Vec<f64> = played.iter().filter(|run| run.arrived <= WEEK).filter_map(waited).collect();
    waits.sort_by(f64::total_cmp);
    waits[(waits.len() as f64 * 0.9).ceil() as usize - 1]
}

fn advice(shape: &Shape, world: u64, limit: u32, of: u32) -> Advice {
    advise(&times(&play(shape, world, limit, 1), limit), &[NonZeroU32::new(of).unwrap()]).unwrap()
}

#[test]
fn nine_of_ten_waits_are_as_predicted() {
    let weeks: u64 = std::env::var("ADVICE_WEEKS").ok().map_or(2, |weeks| weeks.parse().unwrap());
    println!("| week | recorded under | asked for | predicted | came | off | two such weeks |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let (mut near, mut all) = (0, 0);
    for shape in &SHAPES {
        let (mut near_of_shape, mut of_shape) = (0, 0);
        for world in 0..weeks {
            for (limit, other) in shape.limits {
                let advice = advice(shape, world, limit, other);
                let predicted = advice.limits.iter().find(|of| of.limit == other).unwrap().waits.p90_seconds;
                let came = p90(&play(shape, world, other, 2));
                let off = (predicted - came) / came;
                (of_shape, near_of_shape) = (of_shape + 1, near_of_shape + usize::from(off.abs() <= WITHIN));
                // How far two plays are apart under one limit: no prediction can be nearer than that but by luck.
                let twice = p90(&play(shape, world, other, 1)) / came - 1.0;
                println!(
                    "| {} {world} | {limit} | {other} | {predicted:.0} s | {came:.0} s | {:+.0} % | {:+.0} % |",
                    shape.name,
                    off * 100.0,
                    twice * 100.0
                );
                assert!(advice.is_sound(), "the replay of what was: {:?}, {:?}", advice.check, advice.measured);
            }
        }
        println!("{}: {near_of_shape} of {of_shape} within 15 %", shape.name);
        (near, all) = (near + near_of_shape, all + of_shape);
    }
    println!("{near} of {all}");
    assert!(near * 10 >= all * 8, "only {near} of {all} are within 15 %");
}
