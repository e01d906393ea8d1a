//! The project's own commands. `cargo xtask --help` lists them.
//!
//! This crate links neither drivers nor server: it builds in seconds on a fresh machine, and brings what the rest needs.

mod bench;
mod beside;
mod cargo;
mod chaos;
mod ci;
mod demo;
mod deploy;
mod docs;
mod http;
mod image;
mod interrupt;
mod judge;
mod krew;
mod model;
mod mutants;
mod programs;
mod sabotage;
mod say;
mod services;
mod simulate;
mod test;
mod tidy;
mod tools;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show PipelineRuns wait for their slots, start in order and finish, on a development cluster of its own.
    Demo(demo::DemoOptions),
    /// Run every test, bringing the servers they need (as root on Debian; otherwise it says what to install).
    Test(test::TestOptions),
    /// Kill, freeze and cut off watchers, stores and API server at random, and judge what the API server saw.
    Chaos(chaos::ChaosOptions),
    /// Simulate watchers, cluster, stores and users on a virtual clock, seed after seed, until one breaks a promise.
    Simulate(simulate::SimulateOptions),
    /// Have clients work on a store that is killed, paused and cut off, and judge whether their answers can be explained.
    Judge(judge::JudgeOptions),
    /// Explore every state of two watchers, a store and an API server; the small systems among them are part of every test run.
    Model(model::ModelOptions),
    /// Change one thing at a time in what decides and commits, and see that the tests of its own crate notice.
    Mutants(mutants::MutantsOptions),
    /// Measure how fast and how small the system is, beside what the servers can do; writes docs/benchmarks.md.
    Bench(bench::BenchOptions),
    /// Run today's watchers beside those of another version, on one store: a rolling upgrade, and back.
    Beside(beside::BesideOptions),
    /// Put bugs in on purpose, and see that what judges the watcher notices each.
    Sabotage(sabotage::SabotageOptions),
    /// Everything CI checks: format, clippy, rustdoc, tidy, then all tests.
    Ci,
    /// Check the house rules: crate docs, orphan files, arrows between crates, circles within one, keys of settings, stray paths,
    /// generated documents.
    Tidy,
    /// Write the documents that are made of code: docs/settings.md and docs/metrics.md.
    Docs,
    /// Write, apply or compare the manifests; without options, write config/.
    Deploy(deploy::DeployOptions),
    /// Build the container image, by podman, buildah or docker; --print shows the command instead.
    Image(image::ImageOptions),
    /// Write the manifest by which krew installs the client of a release.
    Krew(krew::KrewOptions),
    /// Print what a plain `cargo build` needs: eval "$(cargo xtask tools)".
    Tools,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(options) => demo::demo(&options),
        Command::Test(options) => test::test(&options),
        Command::Chaos(options) => chaos::chaos(&options),
        Command::Simulate(options) => simulate::simulate(&options),
        Command::Judge(options) => judge::judge(&options),
        Command::Model(options) => model::model(&options),
        Command::Mutants(options) => mutants::mutants(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Beside(options) => beside::beside(&options),
        Command::Sabotage(options) => sabotage::sabotage(&options),
        Command::Ci => ci::ci(),
        Command::Tidy => tidy::tidy(),
        Command::Docs => docs::docs(),
        Command::Deploy(options) => deploy::deploy(&options),
        Command::Image(options) => image::image(&options),
        Command::Krew(options) => krew::krew(&options),
        Command::Tools => tools::print_tools(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<deploy::Unusable>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}
