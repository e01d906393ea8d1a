//! One simulation from beginning to end, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Result, anyhow};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use pac_devcluster::verdict::{Verdict, VerdictOptions};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::log::Log;
use crate::scenario::Scenario;
use crate::schedule::{self, GUST, LULL, Step};
use crate::trace::Trace;
use crate::world::World;

/// How long nothing may happen in the calm after the storm.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look whether all is done.
const LOOK: Duration = Duration::from_millis(500);

/// What came of a simulation.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// What was broken, in words; none if nothing was.
    pub broken: Option<Breach>,
    /// The faults, by kind.
    pub faults: BTreeMap<String, usize>,
    /// What users and operators did, by kind.
    pub doings: BTreeMap<String, usize>,
    /// How many runs there were, and how many of them were started from the queue.
    pub runs: (usize, usize),
    /// How much virtual time passed.
    pub passed: Duration,
    /// How long after the storm all work was done.
    pub calm: Duration,
    /// How many lines the history has, and what all of them hash to.
    pub sum: (usize, u64),
    /// The history, if it was to be kept.
    #[serde(skip)]
    pub history: Option<String>,
    /// What the watchers logged, if it was to be kept.
    #[serde(skip)]
    pub log: Option<Vec<u8>>,
}

/// What is kept of a simulation for people to read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Each request, each call of a store, each version of each object.
    pub history: bool,
    /// What the watchers log.
    pub log: bool,
}

/// A promise that was broken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Breach {
    /// Which: `P1` to `P5`.
    pub promises: Vec<String>,
    /// How.
    pub how: String,
}

/// Simulates `scenario` with these steps, on this thread, whose chance and time are to follow from the seed.
///
/// # Errors
///
/// If there is no runtime to be had, or the cluster can't be set up: nothing that the simulated could be to blame for.
fn simulate(scenario: &Scenario, steps: &[Step], keeps_history: bool, counted: PrometheusHandle) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let trace = Trace::new(keeps_history);
    runtime.block_on(async {
        let mut world = World::new(scenario, trace.clone(), counted)?;
        world.rage(steps).await;
        let calm = Instant::now();
        world.calm();
        let stuck = until_done(&mut world).await;
        let calm = calm.elapsed();
        let leaked = if stuck.is_none() { until_empty(&world).await } else { None };
        world.end().await;
        let verdict = world.outside.cluster.verdict(&allowed());
        for version in world.outside.cluster.history() {
            trace.add(&format!("{:?} {:?} {}\n", version.at, version.change, version.object));
        }
        Ok(Report {
            broken: breach(&verdict, stuck, leaked),
            faults: named(&world.outside.weather.strikes()),
            doings: named(&world.doings),
            runs: (verdict.runs, verdict.started),
            passed: world.began.elapsed(),
            calm,
            sum: trace.sum(),
            history: trace.text(),
            log: None,
        })
    })
}

fn named(counts: &BTreeMap<&'static str, usize>) -> BTreeMap<String, usize> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Waits until all work is done; what is not, if nothing happens any more.
async fn until_done(world: &mut World) -> Option<String> {
    let mut last = (world.unfinished(), Instant::now());
    while !last.0.is_empty() || !world.users.are_served() || !world.all_is_undone() {
        if last.1.elapsed() > PATIENCE {
            return Some(format!("{} runs are not done, and nothing happens: {:?}", last.0.len(), last.0));
        }
        sleep(LOOK).await;
        world.undo_the_rest();
        let now = world.unfinished();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    None
}

/// Waits until the store has nothing left; what it has, if that stays.
async fn until_empty(world: &World) -> Option<String> {
    let server = world.server()?;
    let began = Instant::now();
    while server.count() != (0, 0) {
        if began.elapsed() > PATIENCE {
            return Some(format!("all runs are done, and the store still has\n{}", server.told()));
        }
        sleep(LOOK).await;
    }
    None
}

/// What the verdict allows for.
fn allowed() -> VerdictOptions {
    VerdictOptions {
        // A gust may keep everybody from admitting. What it did lasts up to 15 s longer, and is recovered from then.
        longest_gap: GUST + Duration::from_secs(45),
        // Nobody can know of a limit before the API server has told him, and that may be cut off for a while.
        limit_allowance: Duration::from_secs(40),
        // Nobody can heed a run that he hasn't been told of: watches are held for up to 8 s.
        in_flight: Duration::from_secs(10),
        // One whose start was lost, and then its watcher too, keeps its slot, and is started by the next.
        side_by_side: GUST + LULL,
        // A watcher waits so long for a run's Secret, at least.
        secret_wait: Some(Duration::from_secs(10)),
        ended: true,
        ..VerdictOptions::default()
    }
}

fn breach(verdict: &Verdict, stuck: Option<String>, leaked: Option<String>) -> Option<Breach> {
    let mut breach = Breach { promises: Vec::new(), how: String::new() };
    for promise in verdict.promises.iter().filter(|promise| !promise.held) {
        breach.promises.push(promise.id.to_owned());
        breach.how += &format!("{} {} times: {}\n", promise.id, promise.count, promise.violations.join("\n    "));
    }
    for (id, what) in [("P4", stuck), ("P5", leaked)] {
        if let Some(what) = what {
            breach.promises.push(id.to_owned());
            breach.how += &format!("{id}: {what}\n");
        }
    }
    (!breach.promises.is_empty()).then_some(breach)
}

/// Simulates `scenario` with those of its steps whose numbers `kept` has, or with all of them.
///
/// Once in a process: see [`pac_virtual`] on what else has a part in `select!`. [`Process`](crate::Process) begins one for each.
///
/// # Errors
///
/// If it can't be begun.
pub fn run(scenario: &Scenario, kept: Option<&[usize]>, keeps: Keeps) -> Result<Report> {
    let (steps, log) = (steps(scenario, kept), Log::default());
    // Here, where time passes: it begins with comparing the processor's own clock with the kernel's.
    let counted = PrometheusBuilder::new().build_recorder().handle();
    // Errors of the thread are its own: only their words leave it.
    let simulate = || {
        let _logging = keeps.log.then(|| tracing::subscriber::set_default(log.subscriber()));
        simulate(scenario, &steps, keeps.history, counted).map_err(|error| format!("{error:#}"))
    };
    let report = pac_virtual::run(scenario.seed, simulate).map_err(|why| anyhow!(why))?;
    Ok(Report { log: keeps.log.then(|| log.written()), ..report })
}

fn steps(scenario: &Scenario, kept: Option<&[usize]>) -> Vec<Step> {
    let all = schedule::draw(scenario).into_iter().enumerate();
    all.filter(|(number, _)| kept.is_none_or(|kept| kept.contains(number))).map(|(_, step)| step).collect()
}

// === impl Report ===

impl Report {
    /// How many faults there were.
    pub fn fault_count(&self) -> usize {
        self.faults.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doings: usize = self.doings.values().sum();
        write!(
            f,
            "{} faults, {doings} doings, {} runs, {} started; {:.1} s virtual, calm after {:.1} s; {} lines, {:016x}",
            self.fault_count(),
            self.runs.0,
            self.runs.1,
            self.passed.as_secs_f64(),
            self.calm.as_secs_f64(),
            self.sum.0,
            self.sum.1
        )
    }
}
