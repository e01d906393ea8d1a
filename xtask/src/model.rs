//! `cargo xtask model`: the protocol explored whole, the large systems, too.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cargo::cargo;
use crate::say;

/// Systems that take gigabytes and many minutes: explored only when they are asked for by name.
const ONLY_BY_NAME: [&str; 2] = ["starts_are_lost_and_leaders_change", "commits_are_slow_and_leaders_change"];

#[derive(Debug, Args)]
pub(crate) struct ModelOptions {
    /// Explore those systems alone whose name has this in it [default: all but two very large ones].
    name: Option<String>,
}

/// Explores one system after the other, each on all processors, and says what was found.
pub(crate) fn model(options: &ModelOptions) -> Result<()> {
    let name = options.name.as_deref().unwrap_or_default();
    let test = ["test", "--package", "pac-model", "--test", "explored", "--"];
    let mut explore = cargo(&[&test[..], &["--nocapture", "--test-threads", "1", "--include-ignored", name]].concat())?;
    if name.is_empty() {
        explore.args(ONLY_BY_NAME.iter().flat_map(|large| ["--skip", large]));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    explore.env("MODEL_THREADS", threads.to_string()).stdout(Stdio::piped());
    let began = Instant::now();
    let mut explorer = explore.spawn().context("can't run cargo")?;
    let (mut systems, mut states) = (0, 0);
    for line in explorer.stdout.take().into_iter().flat_map(|said| BufReader::new(said).lines()) {
        let line = line.context("can't read what cargo prints")?;
        say::print(&format!("{line}\n"))?;
        if let Some(of_one) = states_of(&line) {
            (systems, states) = (systems + 1, states + of_one);
        }
    }
    let ended = explorer.wait().context("can't run cargo")?;
    ensure!(ended.success(), "a promise is broken, or not all was explored: see above");
    ensure!(systems > 0, "no system has {name} in its name");
    say::print(&format!("{systems} systems, {states} states, {:.0?}: no promise is broken\n", began.elapsed()))
}

/// How many states the test says that a system has.
fn states_of(line: &str) -> Option<usize> {
    line.split_once(" states, ")?.0.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_those_of_systems_that_were_explored_to_their_end() {
        assert_eq!(
            states_of("two_wait: 49650 states, 196419 steps tried, depth 34; 2844 states of a watcher, 5845 inputs"),
            Some(49650)
        );
        assert_eq!(states_of("two_wait: 12000 states so far, up to 9 steps away …"), None);
        assert_eq!(states_of("test two_wait ... ok"), None);
    }
}
