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
use crate::part::Part;
use crate::replica::LEADER_LEASE_OF_MEMORY;
use crate::schedule::{GUST, LULL};
use crate::trace::Trace;
use crate::unending;
use crate::world::World;

/// How long nothing may happen in the calm after the storm.
const PATIENCE: Duration = Duration::from_secs(120);
/// Longer than any storm.
const NO_MATTER_HOW_LONG: Duration = Duration::from_secs(1_000_000);
/// How often to look whether all is done.
const LOOK: Duration = Duration::from_millis(500);
/// How much longer it is until the next look for each run that isn't done.
const LOOK_LATER_PER_RUN: Duration = Duration::from_millis(10);

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
    /// How often a store was changed by a watcher.
    pub commits: usize,
    /// How many versions of objects were judged.
    pub versions: usize,
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
    /// Which: `P1` to `P5`, `P10`; `answers` that weren't true; `no end` came.
    pub promises: Vec<String>,
    /// How.
    pub how: String,
}

/// Simulates `part` of the scenario of `seed` on this thread, whose chance and time are to follow from the seed.
///
/// # Errors
///
/// If there is no runtime to be had, or the cluster can't be set up: nothing that the simulated could be to blame for.
fn simulate(seed: u64, part: &Part, trace: &Trace, counted: PrometheusHandle) -> Result<Report> {
    let scenario = part.scenario(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    runtime.block_on(async {
        let mut world = World::new(&scenario, part, trace.clone(), counted)?;
        world.rage(&part.steps(&scenario)).await;
        let calm = Instant::now();
        world.calm();
        let stuck = until_done(&mut world).await;
        let calm = calm.elapsed();
        let leaked = if stuck.is_none() { until_empty(&world).await } else { None };
        world.end().await;
        let allowed = allowed(&world);
        let verdict = world.outside.cluster.verdict(&allowed);
        let history = world.outside.cluster.history();
        for version in &history {
            trace.add(&format!("{:?} {:?} {}\n", version.at, version.change, version.object));
        }
        Ok(Report {
            broken: breach(&verdict, stuck, leaked, world.untrue.told(), world.witnessed()),
            faults: named(&world.outside.weather.strikes()),
            doings: named(&world.doings),
            runs: (verdict.runs, verdict.started),
            commits: world.commits(),
            versions: history.len(),
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
    let (mut left, mut changed, mut looked) = (world.left_to_do(), Instant::now(), Instant::now());
    while !left.0.is_empty() || !world.users.are_served() || !world.all_is_undone() {
        if changed.elapsed() > PATIENCE {
            return Some(format!("{} runs are not done, and nothing happens: {:?}", left.0.len(), left.0));
        }
        sleep(LOOK).await;
        world.undo_the_rest();
        // Thousands of runs take longer to look at than all else that happens: the more are left, the less often.
        if looked.elapsed() < LOOK_LATER_PER_RUN.mul_f64(left.0.len() as f64).min(PATIENCE / 10) {
            continue;
        }
        looked = Instant::now();
        let now = world.left_to_do();
        if now != left {
            (left, changed) = (now, Instant::now());
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
fn allowed(world: &World) -> VerdictOptions {
    // PAC's watcher may be away while a run waits for its Secret, up to 15 s, and nobody passes it. Another process waits as long anew.
    let for_a_secret = Duration::from_secs(if world.scenario.companion { 15 } else { 0 });
    if world.scenario.is_mild {
        // A limit that was lowered is heeded by whoever decides from then on. What was decided before is sent one after the other within 4 s, and
        // each request takes up to 1 s.
        let decided_before = Duration::from_secs(6);
        let secret_wait = Some(Duration::from_secs(10));
        let usual = VerdictOptions::default();
        // A pause of everything lasts up to 5 s, and with other settings everything is connected anew, at a second for each request.
        let longest_gap = usual.longest_gap + Duration::from_secs(10) + for_a_secret;
        return VerdictOptions {
            in_flight: decided_before,
            limit_allowance: decided_before,
            secret_wait,
            longest_gap,
            ..usual
        };
    }
    let (lost, excused) = (world.excuses(), world.outside.denied.lock().clone());
    let usual = VerdictOptions::in_storms(GUST, LULL);
    let until_one_admits = match (world.scenario.has_server(), world.scenario.replicas) {
        // One alone that is struck late in a gust may be at its beginning still when the next one strikes it, and nobody takes over.
        (true, 1) => GUST + LULL,
        (true, _) => Duration::ZERO,
        // Each of its processes has to wait for the Lease of the one before, and a storm may end every one of them before that: whether
        // it admits is judged in the calm.
        (false, 1) => NO_MATTER_HOW_LONG,
        // Its successor waits for its Lease.
        (false, _) => LEADER_LEASE_OF_MEMORY,
    };
    let longest_gap = usual.longest_gap + for_a_secret + until_one_admits;
    // A run whose start was lost, and that others with slots have passed, is started again by whoever admits next.
    let side_by_side = usual.side_by_side + until_one_admits;
    VerdictOptions { lost, excused, longest_gap, side_by_side, ..usual }
}

fn breach(
    verdict: &Verdict,
    stuck: Option<String>,
    leaked: Option<String>,
    untrue: Option<String>,
    witnessed: Vec<(&str, String)>,
) -> Option<Breach> {
    let mut breach = Breach { promises: Vec::new(), how: String::new() };
    for promise in verdict.promises.iter().filter(|promise| !promise.held) {
        breach.promises.push(promise.id.to_owned());
        breach.how += &format!("{} {} times: {}\n", promise.id, promise.count, promise.violations.join("\n    "));
    }
    let at_the_end = [("P4", stuck), ("P5", leaked), ("answers", untrue)];
    let at_the_end = at_the_end.into_iter().filter_map(|(id, what)| Some((id, what?)));
    for (id, what) in at_the_end.chain(witnessed) {
        breach.promises.push(id.to_owned());
        breach.how += &format!("{id}: {what}\n");
    }
    breach.promises.sort();
    breach.promises.dedup();
    (!breach.promises.is_empty()).then_some(breach)
}

/// How a simulation is run.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// What is kept of it.
    pub keeps: Keeps,
    /// How much real time it may take.
    pub at_most: Duration,
}

/// Simulates `part` of the scenario of `seed`. One that doesn't come to an end is reported to `give_up`, which is to end the process.
///
/// Once in a process: see [`pac_virtual`] on what else has a part in `select!`. [`Process`](crate::Process) begins one for each.
///
/// # Errors
///
/// If it can't be begun.
pub fn run(seed: u64, part: &Part, running: Running, give_up: impl FnOnce(Report) + Send) -> Result<Report> {
    let Keeps { history, log: keeps_log } = running.keeps;
    let (trace, log) = (Trace::new(history), Log::default());
    // Here, where time passes: it begins with comparing the processor's own clock with the kernel's.
    let counted = PrometheusBuilder::new().build_recorder().handle();
    let given_up = |how: String| {
        let broken = Some(Breach { promises: vec!["no end".to_owned()], how });
        let (passed, sum) = (trace.last().0, trace.sum());
        give_up(Report {
            broken,
            passed,
            sum,
            history: trace.text(),
            log: keeps_log.then(|| log.written()),
            ..Report::default()
        });
    };
    // Errors of the thread are its own: only their words leave it.
    let simulate = || {
        let _logging = keeps_log.then(|| tracing::subscriber::set_default(log.subscriber()));
        simulate(seed, part, &trace, counted).map_err(|error| format!("{error:#}"))
    };
    let simulated = || pac_virtual::run(seed, simulate);
    let report = unending::watched(&trace, running.at_most, given_up, simulated).map_err(|why| anyhow!(why))?;
    Ok(Report { log: keeps_log.then(|| log.written()), ..report })
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
