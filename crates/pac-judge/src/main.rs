//! `cargo xtask judge`: has clients work on a store that fails, and judges what they were answered.

#![allow(clippy::print_stdout, reason = "a command for people prints")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use pac_devservers::patroni::Replication;
use pac_judge::options::JudgeOptions;
use pac_judge::undone::Undone;
use pac_judge::{History, Trial, judge_all, large_in, text};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask judge")]
struct Cli {
    #[command(flatten)]
    options: JudgeOptions,
}

fn main() -> ExitCode {
    match run(&Cli::parse().options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all answers have an explanation.
fn run(options: &JudgeOptions) -> Result<bool> {
    if let Some(file) = &options.check {
        let text = fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
        let histories = text::read(&text).with_context(|| file.display().to_string())?;
        return tell(&histories, options, Some(file));
    }
    let trial = Trial {
        operations: options.operations,
        faults: None,
        clients: options.clients,
        repositories: options.repositories,
        seed: options.seed,
        faults_last: Duration::from_secs(2),
    };
    let outcomes = match options.failover {
        Some(replication) => trial.of_failover(replication)?,
        None => trial.of_server(options.driver)?,
    };
    print!("{outcomes}");
    if let Some(file) = &options.history {
        write(file, &outcomes.histories)?;
    }
    if options.failover == Some(Replication::Asynchronous) {
        // There is no explanation to look for.
        println!("{}", Undone::of(&outcomes.histories));
        return Ok(true);
    }
    tell(&outcomes.histories, options, options.history.as_deref())
}

/// Judges `histories` and says what came of it; one without an explanation is written to a file, if it isn't in `file`.
fn tell(histories: &[History], options: &JudgeOptions, file: Option<&Path>) -> Result<bool> {
    let began = Instant::now();
    let breaches = match judge_all(histories, large_in(options.driver)) {
        Ok(effort) => {
            println!(
                "linearizable, all of it: judged in {:.1} s; at most {} under way at once, and {} states that may have been",
                began.elapsed().as_secs_f64(),
                effort.under_way,
                effort.configurations
            );
            return Ok(true);
        }
        Err(breaches) => breaches,
    };
    for (history, breach) in &breaches {
        println!("NOT LINEARIZABLE: {}\n{breach}", history.repository);
    }
    let file = match file {
        Some(file) => file.to_owned(),
        None => {
            let file = PathBuf::from(format!("history-{}-{}.txt", options.driver.name(), options.seed));
            write(&file, &breaches.iter().map(|(history, _)| (*history).clone()).collect::<Vec<_>>())?;
            file
        }
    };
    println!("to judge it again: cargo xtask judge --driver {} --check {}", options.driver.name(), file.display());
    Ok(false)
}

fn write(file: &Path, histories: &[History]) -> Result<()> {
    fs::write(file, text::write(histories)).with_context(|| format!("can't write {}", file.display()))
}
