//! `cargo xtask simulate`: many seeds, each on a virtual clock of its own, until one breaks a promise.

#![allow(clippy::print_stdout, reason = "a command for people prints")]

mod options;
mod tally;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use pac_sim::{Keeps, Part, Process, Report, Running, run, shrink};

use self::options::SimulateOptions;
use self::tally::Tally;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Parser)]
#[command(name = "cargo xtask simulate")]
struct Cli {
    #[command(flatten)]
    options: SimulateOptions,
}

/// The seeds as they are asked for.
struct Seeds<'a> {
    options: &'a SimulateOptions,
    part: Part,
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
    let part = Part {
        hours: options.hours,
        repositories: options.repositories.as_deref().map(|numbers| parsed("--repositories", numbers)).transpose()?,
        steps: options.steps.as_deref().map(|numbers| parsed("--steps", numbers)).transpose()?,
    };
    if options.one {
        return one(options, &part);
    }
    let program = env::current_exe().context("can't tell what program this is")?;
    let seeds = Seeds { options, part, program: &program };
    let mut tally = Tally::new();
    let broken = seeds.storm(&mut tally)?;
    println!("{tally}");
    for (seed, report) in &broken {
        seeds.tell(*seed, report)?;
    }
    Ok(broken.is_empty())
}

/// Simulates one seed here, and tells it in JSON.
fn one(options: &SimulateOptions, part: &Part) -> Result<bool> {
    let keeps = Keeps { history: options.history.is_some(), log: options.log.is_some() };
    let running = Running { keeps, at_most: Duration::from_secs(options.seed_limit) };
    let give_up = |report: Report| {
        // What can't be told is told by the code.
        let _ = tell_in_json(options, &report);
        process::exit(1);
    };
    let report = run(options.seed, part, running, give_up)?;
    tell_in_json(options, &report)?;
    Ok(report.broken.is_none())
}

fn tell_in_json(options: &SimulateOptions, report: &Report) -> Result<()> {
    if let (Some(file), Some(history)) = (&options.history, &report.history) {
        fs::write(file, history).with_context(|| format!("can't write {}", file.display()))?;
    }
    if let (Some(file), Some(log)) = (&options.log, &report.log) {
        fs::write(file, log).with_context(|| format!("can't write {}", file.display()))?;
    }
    println!("{}", serde_json::to_string(report)?);
    Ok(io::stdout().flush()?)
}

fn parsed(option: &str, numbers: &[String]) -> Result<Vec<usize>> {
    let numbers = numbers.iter().filter(|number| *number != "none");
    numbers.map(|number| number.parse().with_context(|| format!("{option}: {number} is no number"))).collect()
}

// === impl Seeds ===

impl Seeds<'_> {
    fn process(&self, seed: u64, part: &Part) -> Process {
        let limit = self.options.seed_limit.to_string();
        Process::new(self.program, seed, part.clone()).with("--seed-limit", limit)
    }

    /// The process for a seed; the first one leaves the files that are asked for.
    fn first_time(&self, seed: u64) -> Process {
        let files = [("--history", &self.options.history), ("--log", &self.options.log)];
        let named = files.into_iter().filter(|_| seed == self.options.seed);
        let named = named.filter_map(|(option, file)| Some((option, file.as_deref()?)));
        named.fold(self.process(seed, &self.part), |process, (option, file)| process.with(option, file))
    }

    /// Simulates seed after seed, several at once; those that break a promise. The first one is the last, unless it is to go on.
    fn storm(&self, tally: &mut Tally) -> Result<Vec<(u64, Report)>> {
        let jobs = self.options.jobs.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
        let end = self.options.seed.saturating_add(self.options.seeds);
        let next = AtomicU64::new(self.options.seed);
        let mut broken = Vec::new();
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
                // Nobody begins another if this one is the last.
                let is_last = !self.options.go_on && report.as_ref().is_ok_and(|report| report.broken.is_some());
                if report.is_err() || is_last {
                    next.store(end, Ordering::Relaxed);
                }
                let report = report?;
                tally.add(&report);
                if told.elapsed() > TELL_EVERY || self.options.seeds == 1 {
                    told = Instant::now();
                    println!("{} of {}; {}: {report}", tally.progress(), self.options.seeds, self.part.scenario(seed));
                }
                if report.broken.is_some() {
                    println!("{}: {report}", self.part.scenario(seed));
                    broken.push((seed, report));
                }
                if is_last {
                    break;
                }
            }
            Ok(broken)
        })
    }

    /// Tells what a seed broke, and less of it that breaks it, too.
    fn tell(&self, seed: u64, report: &Report) -> Result<()> {
        let Some(breach) = &report.broken else { return Ok(()) };
        println!("\n{}: {report}", self.part.scenario(seed));
        println!("BROKEN: {}\n{}", breach.promises.join(", "), breach.how);
        println!("to repeat it: {}", self.process(seed, &self.part).told());
        if self.options.no_shrink || self.options.go_on || self.part != Part::whole(self.options.hours) {
            return Ok(());
        }
        println!("looking for less that breaks it, too …");
        let mut told = Instant::now();
        let simulate = |part: &Part| Ok(self.process(seed, part).run()?.broken);
        let shrunk = shrink(seed, &self.part, breach, &simulate, &mut |part, steps, tries| {
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                println!("  {steps} steps in {:.0} s are left after {tries} tries", part.lasts().as_secs_f64());
            }
        })?;
        println!("\n{} steps are enough:\n{}", shrunk.told.len(), shrunk.told.join("\n"));
        println!("\nBROKEN: {}\n{}", shrunk.breach.promises.join(", "), shrunk.breach.how);
        println!("to repeat that: {}", self.process(seed, &shrunk.part).told());
        println!("with --history FILE and --log FILE it writes what happened");
        Ok(())
    }
}
