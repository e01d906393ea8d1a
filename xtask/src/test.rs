//! `cargo xtask test`: every test, with the servers they need.

use anyhow::Result;
use clap::Args;

use crate::cargo::{cargo, run};
use crate::services;

#[derive(Debug, Default, Args)]
pub(crate) struct TestOptions {
    /// Passed on to the test runner: a name to filter by, or options.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs all tests; what is printed last is the runner's own summary.
pub(crate) fn test(options: &TestOptions) -> Result<()> {
    services::bring_all()?;
    let extra: Vec<&str> = options.arguments.iter().map(String::as_str).collect();
    if options.arguments.is_empty() {
        // nextest runs no examples in docs.
        run(cargo(&["test", "--workspace", "--all-features", "--doc"])?)?;
    }
    let has_nextest = has_nextest();
    let runner: &[&str] = if has_nextest { &["nextest", "run"] } else { &["test"] };
    // On a real cluster some tests can't run, and are ignored: the summary is to have their names. Plain cargo has them anyway.
    let summary: &[&str] = if has_nextest && std::env::var_os("PAC_TEST_KUBECONFIG").is_some() {
        &["--final-status-level", "skip"]
    } else {
        &[]
    };
    // One test more than there are processors, since all wait for a server at times; .config/nextest.toml has each take two threads,
    // and one if it mostly waits.
    let at_once = (2 * (std::thread::available_parallelism().map_or(1, usize::from) + 1)).to_string();
    let at_once: &[&str] = if has_nextest { &["--profile", "whole", "--test-threads", &at_once] } else { &[] };
    let targets: &[&str] = &["--workspace", "--all-features", "--no-fail-fast", "--lib", "--bins", "--tests"];
    run(cargo(&[runner, summary, at_once, targets, &extra].concat())?)
}

pub(crate) fn has_nextest() -> bool {
    let asked = cargo(&["nextest", "--version"]).map(|mut command| command.output());
    asked.is_ok_and(|output| output.is_ok_and(|output| output.status.success()))
}
