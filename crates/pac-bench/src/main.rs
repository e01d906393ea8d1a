//! How fast and how small the system is: beside each figure what the servers can do at most, measured in the same run.
//!
//! `cargo xtask bench` builds this with optimizations, pins it and all it starts to two cores, and runs it. Each kind of
//! benchmark ([`store`] and the rest) comes to a [`report::Section`] of tables; the newest of each kind are kept in
//! `docs/benchmarks.json` and shown in `docs/benchmarks.md`. The promises are checked while it is measured: a fast run that
//! breaks one is a failure.

#![allow(clippy::print_stdout, reason = "a command for people prints")]

mod compare;
mod figure;
mod handoff;
mod machine;
mod markdown;
mod plan;
mod report;
mod scale;
mod statistic;
mod store;
mod watcher;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use self::machine::Machine;
use self::report::{Report, Section};
use self::store::Kind;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench")]
struct Cli {
    /// What to measure; without any, everything.
    #[arg(value_enum)]
    what: Vec<What>,
    /// Only with these drivers; those left out are left out of the result, too.
    #[arg(long, value_enum)]
    driver: Vec<Kind>,
    /// How often to measure each figure.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long to measure, where a figure is so much a second.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Show what changed since this earlier result (a file like docs/benchmarks.json, or a revision that has it), and fail if
    /// something became worse.
    #[arg(long, value_name = "BASE")]
    compare: Option<String>,
    /// Leave docs/ as it is.
    #[arg(long)]
    dry: bool,
    /// Where criterion left what it measured.
    #[arg(long, hide = true, default_value = "target/criterion")]
    criterion: PathBuf,
    /// The folder of the workspace.
    #[arg(long, hide = true, default_value = ".")]
    root: PathBuf,
}

/// The kinds of benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Slots taken and given back, beside the server's own transactions.
    Store,
    /// How quickly a slot is handed on, and whole batches of work.
    Handoff,
    /// Large clusters: time until ready, memory, and what an event costs.
    Scale,
    /// The decision alone, which needs no server.
    Plan,
}

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How often.
    pub(crate) rounds: u32,
    /// For how long each time.
    pub(crate) time: Duration,
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
    // What can't be read should not be found out an hour later.
    let base = cli.compare.as_deref().map(compare::base).transpose()?;
    let (kept, shown) = (cli.root.join("docs/benchmarks.json"), cli.root.join("docs/benchmarks.md"));
    let plotted = cli.root.join("docs/images/benchmarks-scale.svg");
    let mut report = Report::read(&kept)?;
    let mut measured = Report::default();
    for what in What::value_variants().iter().filter(|what| cli.what.is_empty() || cli.what.contains(what)) {
        let section = what.measure(cli).await?;
        println!("\n{}", markdown::text(&section));
        if !cli.dry {
            let document =
                std::fs::read_to_string(&shown).with_context(|| format!("can't read {}", shown.display()))?;
            std::fs::write(&shown, markdown::replace(&document, &section)?)?;
            if *what == What::Scale {
                section.tables.iter().try_for_each(|table| std::fs::write(&plotted, scale::plot(table)))?;
            }
            report.put(section.clone());
            report.write(&kept)?;
        }
        measured.put(section);
    }
    base.map_or(Ok(()), |base| tell_changes(&base, &measured))
}

/// Prints what changed; an error if something became worse.
fn tell_changes(base: &Report, measured: &Report) -> Result<()> {
    let changes = compare::compare(base, measured);
    let mut worse = 0;
    for change in &changes {
        let percent = (change.now / change.before - 1.0) * 100.0;
        let mark = if change.is_regression { "WORSE" } else { "" };
        println!("{:<100} {:>14.3} → {:>14.3} {percent:>+8.1} % {mark}", change.name, change.before, change.now);
        worse += usize::from(change.is_regression);
    }
    match worse {
        0 if changes.is_empty() => bail!("the earlier result has none of these figures"),
        0 => Ok(()),
        _ => bail!("{worse} of {} figures became worse", changes.len()),
    }
}

// === impl What ===

impl What {
    async fn measure(self, cli: &Cli) -> Result<Section> {
        let name = self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut machine = Machine::here(cli.command(&name));
        let effort = Effort { rounds: cli.rounds, time: Duration::from_secs_f64(cli.seconds) };
        let kinds = if cli.driver.is_empty() { Kind::ALL.to_vec() } else { cli.driver.clone() };
        let table = match self {
            Self::Store => store::measure(&kinds, &effort, &mut machine.servers).await?,
            Self::Handoff => handoff::measure(&kinds, &effort, &mut machine.servers).await?,
            Self::Scale => scale::measure(&kinds, &effort, &mut machine.servers).await?,
            Self::Plan => plan::read(&cli.criterion)?,
        };
        Ok(Section { name, machine, tables: vec![table] })
    }
}

// === impl Cli ===

impl Cli {
    /// How to measure `name` again like this.
    fn command(&self, name: &str) -> String {
        let mut command = format!("cargo xtask bench {name}");
        if name != "plan" {
            command += &format!(" --rounds {}", self.rounds);
        }
        if name == "store" {
            command += &format!(" --seconds {}", self.seconds);
        }
        for kind in &self.driver {
            command += &format!(" --driver {}", kind.name());
        }
        command
    }
}
