//! How fast and how small the system is: beside each figure what the servers can do at most, measured in the same run.
//!
//! `cargo xtask bench` builds this with optimizations, pins it and all it starts to two cores, and runs it. Each kind of
//! benchmark ([`store`] and the rest) comes to a [`report::Section`] of tables; the newest of each kind are kept in
//! `docs/benchmarks.json` and shown in `docs/benchmarks.md`. The promises are checked while it is measured: a fast run that
//! breaks one is a failure.

#![allow(clippy::print_stdout, reason = "a command for people prints")]

mod compare;
mod effort;
mod figure;
mod handoff;
mod kept;
mod machine;
mod markdown;
mod number;
mod options;
mod plan;
mod report;
mod scale;
mod statistic;
mod store;
mod watcher;
mod webhook;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use pac_config::DriverKind;

use self::compare::{Change, Comparison};
use self::effort::Effort;
use self::kept::Kept;
use self::machine::Machine;
use self::options::{BenchOptions, What};
use self::report::{Report, Section};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    #[command(flatten)]
    options: BenchOptions,
    /// Where criterion left what it measured.
    #[arg(long, hide = true, default_value = "target/criterion")]
    criterion: PathBuf,
    /// The folder of the workspace.
    #[arg(long, hide = true, default_value = ".")]
    root: PathBuf,
    /// The folder that a file to compare with is named from.
    #[arg(long, hide = true, default_value = ".")]
    from: PathBuf,
}

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Into::into);
    match outcome.and_then(|runtime| runtime.block_on(measure(&Cli::parse()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(cli: &Cli) -> Result<()> {
    let options = &cli.options;
    // What can't be read should not be found out an hour later.
    let base = options.compare.as_deref().map(|name| compare::base(&cli.from, name)).transpose()?;
    let kept = Kept::read(&cli.root)?;
    let mut measured = Report::default();
    for what in What::value_variants().iter().filter(|what| options.what.is_empty() || options.what.contains(what)) {
        let section = Box::pin(what.measure(cli)).await?;
        println!("\n{}", markdown::text(&section));
        // An hour's work should not wait for the next one's.
        if !options.dry && base.is_none() {
            kept.put(&section)?;
        }
        measured.put(section);
    }
    let Some(base) = base else { return Ok(()) };
    tell_changes(&compare::compare(&base, &measured, &|row| leaves_out(options, row)))?;
    if !options.dry {
        measured.sections.iter().try_for_each(|section| kept.put(section))?;
    }
    Ok(())
}

/// Prints what changed; an error if something became worse.
fn tell_changes(comparison: &Comparison) -> Result<()> {
    for circumstance in &comparison.circumstances {
        println!("note: {circumstance}");
    }
    for Change { name, before, now, verdict } in &comparison.changes {
        let percent = if before == now { 0.0 } else { (now / before - 1.0) * 100.0 };
        println!("{name:<100} {before:>14.3} → {now:>14.3} {percent:>+8.1} % {}", verdict.unwrap_or_default());
    }
    for name in &comparison.missing {
        println!("{name:<100} NOT MEASURED");
    }
    match comparison.faults() {
        0 if comparison.changes.is_empty() => bail!("the earlier result has none of these figures"),
        0 => Ok(()),
        faults => bail!("{faults} of {} figures became worse or are missing", comparison.changes.len()),
    }
}

// === impl What ===

impl What {
    async fn measure(self, cli: &Cli) -> Result<Section> {
        let name = self.section();
        let mut machine = Machine::here(command(&cli.options, self));
        if !matches!(self, Self::Plan | Self::Webhook) {
            machine.note_disk()?;
        }
        let options = &cli.options;
        let effort = Effort { rounds: options.rounds, time: Duration::from_secs(options.seconds.into()) };
        let kinds = if options.driver.is_empty() { DriverKind::ALL.to_vec() } else { options.driver.clone() };
        let tables = match self {
            Self::Store => vec![Box::pin(store::measure(&kinds, &effort, &mut machine.servers)).await?],
            Self::Handoff => vec![handoff::measure(&kinds, &effort, &mut machine.servers).await?],
            Self::Scale => scale::measure(&kinds, &effort, &mut machine.servers).await?,
            Self::Webhook => vec![webhook::measure(&effort).await?],
            Self::Plan => vec![plan::read(&cli.criterion)?],
        };
        Ok(Section { name, machine, tables })
    }

    /// Its name on the command line.
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Where its result is kept: what was measured on a real API server stands beside the rest.
    fn section(self) -> String {
        match self {
            Self::Handoff if handoff::is_real() => "handoff-real".to_owned(),
            _ => self.name(),
        }
    }
}

/// Whether the row of that name is of a driver that was not asked for.
fn leaves_out(options: &BenchOptions, row: &str) -> bool {
    let of = |kind: &DriverKind| row.split_once(':').is_some_and(|(driver, _)| driver == kind.name());
    !options.driver.is_empty() && DriverKind::ALL.iter().any(of) && !options.driver.iter().any(of)
}

/// How to measure `what` again like this.
fn command(options: &BenchOptions, what: What) -> String {
    let mut command = format!("cargo xtask bench {}", what.name());
    if what == What::Handoff && handoff::is_real() {
        command = format!("{}=FILE {command}", handoff::REAL);
    }
    if what != What::Plan {
        command += &format!(" --rounds {}", options.rounds);
    }
    if matches!(what, What::Store | What::Webhook) {
        command += &format!(" --seconds {}", options.seconds);
    }
    for kind in &options.driver {
        command += &format!(" --driver {kind}");
    }
    command
}
