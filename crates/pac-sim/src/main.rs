//! `cargo xtask simulate`: many seeds, each on a virtual clock of its own, until one breaks a promise.

#![allow(clippy::print_stdout, reason = "a command for people prints")]

mod options;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pac_sim::{Keeps, Process, Report, Scenario, run, shrink};

use self::options::SimulateOptions;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate")]
struct Cli {
    #[command(flatten)]
    options: SimulateOptions,
}

/// What all seeds so far amount to.
#[derive(Default)]
struct Tally {
    seeds: u64,
    faults: BTreeMap<String, usize>,
    doings: BTreeMap<String, usize>,
    runs: usize,
    started: usize,
    passed: Duration,
    lines: usize,
    slowest_calm: Duration,
}

/// The seeds as they are asked for.
struct Seeds<'a> {
    options: &'a SimulateOptions,
    kept: Option<Vec<usize>>,
    program: &'a Path,
}

fn main() -> ExitCode {
    match simulate(&Cli::parse().options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether no promise was broken.
fn simulate(options: &SimulateOptions) -> Result<bool> {
    ensure!(options.hours > 0.0 && options.hours <= 10_000.0, "--hours: more than 0, and at most 10000");
    let kept = options.steps.as_deref().map(numbers).transpose()?;
    if options.one {
        return one(options, kept.as_deref());
    }
    let program = env::current_exe().context("can't tell what program this is")?;
    let seeds = Seeds { options, kept, program: &program };
    let (mut tally, began) = (Tally::default(), Instant::now());
    let broken = seeds.storm(&mut tally, began)?;
    tally.tell(began.elapsed());
    match broken {
        Some((seed, report)) => seeds.tell(seed, &report).map(|()| false),
        None => Ok(true),
    }
}

/// Simulates one seed here, and tells it in JSON.
fn one(options: &SimulateOptions, kept: Option<&[usize]>) -> Result<bool> {
    let keeps = Keeps { history: options.history.is_some(), log: options.log.is_some() };
    let report = run(&scenario(options, options.seed), kept, keeps)?;
    if let (Some(file), Some(history)) = (&options.history, &report.history) {
        fs::write(file, history).with_context(|| format!("can't write {}", file.display()))?;
    }
    if let (Some(file), Some(log)) = (&options.log, &report.log) {
        fs::write(file, log).with_context(|| format!("can't write {}", file.display()))?;
    }
    println!("{}", serde_json::to_string(&report)?);
    Ok(report.broken.is_none())
}

fn scenario(options: &SimulateOptions, seed: u64) -> Scenario {
    Scenario::of(seed, Duration::from_secs_f64(options.hours * 3_600.0))
}

fn numbers(steps: &[String]) -> Result<Vec<usize>> {
    let numbers = steps.iter().filter(|step| *step != "none");
    numbers.map(|step| step.parse().with_context(|| format!("--steps: {step} is no number"))).collect()
}

// === impl Seeds ===

impl Seeds<'_> {
    fn process(&self, seed: u64, kept: Option<&[usize]>) -> Process {
        Process::new(self.program, seed, self.options.hours).with_steps(kept)
    }

    /// The process for a seed; the first one leaves the files that are asked for.
    fn first_time(&self, seed: u64) -> Process {
        let files = [("--history", &self.options.history), ("--log", &self.options.log)];
        let named = files.into_iter().filter(|_| seed == self.options.seed);
        let named = named.filter_map(|(option, file)| Some((option, file.as_deref()?)));
        named.fold(self.process(seed, self.kept.as_deref()), |process, (option, file)| process.with_file(option, file))
    }

    /// Simulates seed after seed, several at once; the first that breaks a promise.
    fn storm(&self, tally: &mut Tally, began: Instant) -> Result<Option<(u64, Report)>> {
        let jobs = self.options.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let end = self.options.seed.saturating_add(self.options.seeds);
        let next = AtomicU64::new(self.options.seed);
        thread::scope(|scope| {
            let (sender, reports) = mpsc::channel();
            for _ in 0..jobs.max(1) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end || sender.send((seed, self.first_time(seed).run())).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut told = Instant::now();
            for (seed, report) in reports {
                let report = report?;
                tally.add(&report);
                if report.broken.is_some() {
                    // Nobody begins another.
                    next.store(end, Ordering::Relaxed);
                    return Ok(Some((seed, report)));
                }
                if told.elapsed() > TELL_EVERY || self.options.seeds == 1 {
                    told = Instant::now();
                    let (done, seconds) = (tally.seeds, began.elapsed().as_secs());
                    println!(
                        "{done} of {} seeds in {seconds} s; {}: {report}",
                        self.options.seeds,
                        scenario(self.options, seed)
                    );
                }
            }
            Ok(None)
        })
    }

    /// Tells what a seed broke, and fewer steps that break it, too.
    fn tell(&self, seed: u64, report: &Report) -> Result<()> {
        let scenario = scenario(self.options, seed);
        let Some(breach) = &report.broken else { return Ok(()) };
        println!("\n{scenario}: {report}");
        println!("BROKEN: {}\n{}", breach.promises.join(", "), breach.how);
        println!("to repeat it: {}", self.process(seed, self.kept.as_deref()).told());
        if self.options.no_shrink || self.kept.is_some() {
            return Ok(());
        }
        println!("looking for fewer steps that break it, too …");
        let mut least = usize::MAX;
        let fewer = |steps: &[usize]| self.process(seed, Some(steps));
        let shrunk = shrink(&scenario, breach, fewer, |left| {
            if left <= least / 2 {
                least = left;
                println!("  {left} steps");
            }
        })?;
        println!("\n{} steps are enough:\n{}", shrunk.told.len(), shrunk.told.join("\n"));
        println!("\nBROKEN: {}\n{}", shrunk.breach.promises.join(", "), shrunk.breach.how);
        println!("to repeat that: {}", fewer(&shrunk.steps).told());
        println!("with --history FILE and --log FILE it writes what happened");
        Ok(())
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        for (counts, all) in [(&report.faults, &mut self.faults), (&report.doings, &mut self.doings)] {
            counts.iter().for_each(|(what, count)| *all.entry(what.clone()).or_default() += count);
        }
        self.runs += report.runs.0;
        self.started += report.runs.1;
        self.passed += report.passed;
        self.lines += report.sum.0;
        self.slowest_calm = self.slowest_calm.max(report.calm);
    }

    fn tell(&self, took: Duration) {
        let faults: usize = self.faults.values().sum();
        println!(
            "{} seeds, {:.1} virtual hours in {:.0} s: {faults} faults, {} runs, {} started from the queue; {} lines of history; \
             all done {:.1} s after a storm at most",
            self.seeds,
            self.passed.as_secs_f64() / 3_600.0,
            took.as_secs_f64(),
            self.runs,
            self.started,
            self.lines,
            self.slowest_calm.as_secs_f64()
        );
        for (what, count) in self.faults.iter().chain(&self.doings) {
            println!("{count:>9} {what}");
        }
    }
}
