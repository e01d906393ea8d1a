//! A week, played: runs arrive, wait in order, have their slots, and end.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::shapes::{MOST_AN_HOUR, Shape, WEEK, exponential, log_normal};

/// So many runs fail, and are pushed again some minutes after they ended.
const FAIL: f64 = 0.1;
/// So many are cancelled, some minutes after they were pushed, if they aren't done by then.
const CANCELLED: f64 = 0.05;
/// How far the time that a run takes differs from play to play: its logarithm's spread.
const NOISE: f64 = 0.1;
const MINUTE: f64 = 60.0;

/// A run, and what became of it. Times are in seconds from the beginning of the week.
#[derive(Debug, Clone)]
pub(crate) struct Played {
    pub(crate) number: usize,
    pub(crate) event: f64,
    pub(crate) position: u32,
    pub(crate) arrived: f64,
    pub(crate) started: Option<f64>,
    pub(crate) cancelled: bool,
    ended: Option<f64>,
    takes: f64,
    /// When it is cancelled.
    cancel_at: f64,
    /// How long after its end it is pushed again.
    again_after: Option<f64>,
    /// What else chance has in store for it.
    lot: u64,
}

impl Played {
    pub(crate) fn end(&self) -> Option<f64> {
        self.ended
    }
}

/// What comes in `world`, whatever the limit: but for what is pushed again.
fn pushes(shape: &Shape, world: u64) -> Vec<Played> {
    let (mut lot, mut runs, mut now) = (SmallRng::seed_from_u64(world), Vec::new(), 0.0);
    loop {
        now += exponential(&mut lot, MOST_AN_HOUR / 3600.0);
        if now > WEEK {
            return runs;
        }
        if lot.random::<f64>() * MOST_AN_HOUR > (shape.events_an_hour)(now) {
            continue;
        }
        for position in 0..lot.random_range(1..=shape.runs_of_event) {
            runs.push(push(shape, now, now + f64::from(position) * 0.2, position, &mut lot));
        }
    }
}

fn push(shape: &Shape, event: f64, arrived: f64, position: u32, lot: &mut SmallRng) -> Played {
    let takes = (shape.duration)(lot);
    let is_cancelled = lot.random::<f64>() < CANCELLED;
    let cancel_after = exponential(lot, 1.0 / (15.0 * MINUTE));
    let fails = lot.random::<f64>() < FAIL;
    let again_after = exponential(lot, 1.0 / (10.0 * MINUTE));
    Played {
        number: 0,
        event,
        position,
        arrived,
        started: None,
        cancelled: false,
        ended: None,
        takes,
        cancel_at: if is_cancelled { arrived + cancel_after } else { f64::INFINITY },
        again_after: fails.then_some(again_after),
        lot: lot.random(),
    }
}

/// Plays the week of `world` under `limit`; `chance` says how long runs take this time.
pub(crate) fn play(shape: &Shape, world: u64, limit: u32, chance: u64) -> Vec<Played> {
    let mut lot = SmallRng::seed_from_u64(world * 1000 + chance);
    let mut runs = pushes(shape, world);
    runs.iter_mut().zip(0..).for_each(|(run, number)| run.number = number);
    runs.iter_mut().for_each(|run| run.takes *= log_normal(&mut lot, 1.0, NOISE));
    // In nanoseconds, so that they sort; beside them the run's number.
    let mut to_come: BTreeSet<(u64, usize)> = runs.iter().map(|run| (nanos(run.arrived), run.number)).collect();
    let mut ends: BTreeSet<(u64, usize)> = BTreeSet::new();
    let mut queue: BTreeMap<(u64, u32, usize), usize> = BTreeMap::new();
    loop {
        let next = [to_come.first(), ends.first()].into_iter().flatten().map(|(at, _)| *at).min();
        let Some(nano) = next else { return runs };
        let now = nano as f64 / 1e9;
        while let Some(&(at, number)) = ends.first().filter(|(at, _)| *at <= nano) {
            ends.remove(&(at, number));
            let run = &runs[number];
            let again = run.again_after.filter(|_| !run.cancelled).map(|after| now + after);
            // Nobody pushes after the week's end: what waits then is worked off.
            if let Some(arrived) = again.filter(|arrived| *arrived <= WEEK) {
                to_come.insert((nanos(arrived), runs.len()));
                // The same run once more, which takes about as long; what becomes of it is the world's.
                let takes = run.takes * log_normal(&mut lot, 1.0, NOISE);
                let mut its_own = SmallRng::seed_from_u64(run.lot);
                let again = push(shape, arrived, arrived, 0, &mut its_own);
                runs.push(Played { number: runs.len(), takes, ..again });
            }
        }
        while let Some(&(at, number)) = to_come.first().filter(|(at, _)| *at <= nano) {
            to_come.remove(&(at, number));
            let run = &runs[number];
            queue.insert((nanos(run.event), run.position, number), number);
        }
        while ends.len() < limit as usize {
            let Some((_, number)) = queue.pop_first() else { break };
            let run = &mut runs[number];
            if run.cancel_at <= now {
                (run.cancelled, run.ended) = (true, Some(run.cancel_at));
                continue;
            }
            let end = (now + run.takes).min(run.cancel_at);
            run.cancelled = end == run.cancel_at;
            (run.started, run.ended) = (Some(now), Some(end));
            ends.insert((nanos(end), number));
        }
    }
}

fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
