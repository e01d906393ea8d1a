//! `cargo xtask demo`: the main job, for all to see.
//!
//! A development cluster with sample Repositories, for which Pipelines-as-Code, which it plays, makes PipelineRuns; the watcher
//! beside it as a process of its own; and a table of what the API server shows. In the end the API server's own history is checked against the promises.

mod scene;
mod stage;
mod summary;
mod table;

use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use pac_config::{DriverKind, parse_duration};

use crate::interrupt::{interrupted, is_set};
use crate::say;
use scene::Scene;
use stage::Stage;
use summary::{RepositoryRow, Verdict};
use table::Table;

/// How long nothing may happen before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the cluster is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoOptions {
    /// How many Repositories.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) repositories: u32,
    /// How many PipelineRuns each.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// Each Repository's concurrency_limit.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// How long a run takes once started: 500ms, 2s, 1m [default: 2s, or with --serve 8s].
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Where slots and queues are kept; a server is started for it and ends with the demo.
    #[arg(long, value_enum, default_value_t = DriverKind::Memory)]
    pub(crate) driver: DriverKind,
    /// Build with optimizations: takes longer to build, and shows how fast it is.
    #[arg(long)]
    pub(crate) release: bool,
    /// Say how to look at it with kubectl and a browser, and keep new runs coming until Ctrl-C.
    #[arg(long)]
    pub(crate) serve: bool,
}

// === impl DemoOptions ===

impl DemoOptions {
    /// How long all runs of one repository take if no slot is ever idle.
    fn ideal(&self) -> Duration {
        self.duration() * self.runs.div_ceil(self.limit)
    }

    /// How long a run takes. While new ones keep coming it is long enough for them to have to wait.
    fn duration(&self) -> Duration {
        self.duration.unwrap_or(Duration::from_secs(if self.serve { 8 } else { 2 }))
    }
}

/// Shows it, and fails if a promise was broken.
pub(crate) fn demo(options: &DemoOptions) -> Result<()> {
    let stop = interrupted()?;
    let mut stage = Stage::set(options)?;
    let mut scene = Scene::new(options);
    scene.create_repositories(&stage)?;
    stage.start_watcher()?;
    let pushing = scene.push(&stage);
    let mut table = Table::new();
    if options.serve {
        say::print(&stage.invitation())?;
        keep_up(&mut stage, &mut scene, &mut table, &stop)?;
    } else {
        show_to_the_end(&mut stage, options, pushing, &mut table, &stop)?;
    }
    let verdict: Verdict = stage.verdict()?;
    say::print(&format!("\n{}", verdict.text((!options.serve).then(|| options.ideal()))))?;
    stage.end()?;
    if verdict.is_broken() {
        stage.keep_logs();
        bail!("a promise was broken; the watcher's log is {}", stage.watcher_log());
    }
    Ok(())
}

/// Until every run is done.
fn show_to_the_end(
    stage: &mut Stage,
    options: &DemoOptions,
    pushing: JoinHandle<Result<()>>,
    table: &mut Table,
    stop: &AtomicBool,
) -> Result<()> {
    let mut last = (Vec::new(), Instant::now());
    let mut pushing = Some(pushing);
    let all = u64::from(options.repositories) * u64::from(options.runs);
    loop {
        let rows: Vec<RepositoryRow> = stage.summary()?;
        if rows != last.0 {
            table.show(&rows)?;
            last = (rows, Instant::now());
        }
        if last.0.iter().map(|row| row.done).sum::<u64>() >= all {
            return Ok(());
        }
        if is_set(stop) {
            bail!("interrupted");
        }
        stage.check_alive()?;
        if let Some(pushed) = pushing.take_if(|pushing| pushing.is_finished()) {
            pushed.join().map_err(|_| anyhow!("the thread that pushes panicked"))??;
        }
        if last.1.elapsed() > PATIENCE + options.duration() {
            stage.keep_logs();
            bail!("nothing has happened for {} s; see {}", last.1.elapsed().as_secs(), stage.watcher_log());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Until Ctrl-C, with new runs all the while. Whoever looks on may pause, release, delete and do what else they like.
fn keep_up(stage: &mut Stage, scene: &mut Scene, table: &mut Table, stop: &AtomicBool) -> Result<()> {
    let mut last = Vec::new();
    while !is_set(stop) {
        stage.check_alive()?;
        let mut rows: Vec<RepositoryRow> = stage.summary()?;
        scene.keep_coming(stage, &rows);
        scene.add_removed(&mut rows);
        if rows != last {
            table.show(&rows)?;
            last = rows;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// How long a run takes, as the settings write it.
fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(10)..=Duration::from_secs(3600);
    if bounds.contains(&duration) { Ok(duration) } else { Err("from 10ms to 60m".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_in_the_settings() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("3"), Ok(Duration::from_secs(3)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2m30s"), Ok(Duration::from_secs(150)));
        for wrong in ["", "s", "2h", "-1s", "0s", "99999999999999999999"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
