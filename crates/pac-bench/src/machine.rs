//! What a figure was measured on: without it no figure says anything.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::number::number;
use crate::statistic::Times;

/// What the benchmarks write themselves: it makes the code no other than that of the commit.
pub(crate) const RESULTS: [&str; 3] =
    ["docs/benchmarks.json", "docs/benchmarks.md", "docs/images/benchmarks-scale.svg"];

/// The machine, the versions and the moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// The processor's name and how many cores may be used.
    pub(crate) processor: String,
    /// In mebibytes.
    pub(crate) memory: u64,
    /// The kernel.
    pub(crate) system: String,
    /// The compiler.
    pub(crate) compiler: String,
    /// What was measured: the commit, and whether there was more than that.
    pub(crate) commit: String,
    /// The servers.
    pub(crate) servers: Vec<String>,
    /// Where servers have their folders: the file system, and how long it takes until a small write is on disk.
    #[serde(default)]
    pub(crate) disk: String,
    /// When, in UTC.
    pub(crate) date: String,
    /// How to do it again.
    pub(crate) command: String,
    /// How many processes wanted to run, on average over the minute before the start: others' work.
    pub(crate) load_before: f64,
}

// === impl Machine ===

impl Machine {
    /// This one, now.
    pub(crate) fn here(command: String) -> Self {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let field = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kibibytes = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0);
        Self {
            processor: format!("{}, {cores} cores", field("/proc/cpuinfo", "model name")),
            memory: kibibytes / 1024,
            system: said("uname", &["-sr"]),
            compiler: said("rustc", &["--version"]),
            commit: commit(),
            servers: Vec::new(),
            disk: String::new(),
            date: jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string(),
            command,
            load_before: load(),
        }
    }

    /// Looks at the disk that servers will be on.
    ///
    /// # Errors
    ///
    /// If there is none: in memory a commit costs nothing, and the figures would be of something else.
    pub(crate) fn note_disk(&mut self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let system = said("stat", &["--file-system", "--format", "%T", &folder.path().display().to_string()]);
        if ["tmpfs", "ramfs"].contains(&system.as_str()) {
            bail!(
                "{} is on {system}, where nothing waits for a disk; set TMPDIR to a folder on one",
                folder.path().display()
            );
        }
        let mut writes = writes(&folder.path().join("written"))?;
        writes.sort();
        let millis = |percent| number(writes.percentile(percent));
        self.disk = format!("{system} (4 KiB on disk in {} ms, 99 of 100 in {} ms)", millis(50), millis(99));
        Ok(())
    }

    /// What makes figures of this one and of `other` no longer comparable; nothing if they are of one kind.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let system = |machine: &Self| machine.disk.split(' ').next().unwrap_or_default().to_owned();
        let facts = [
            ("processor", self.processor.clone(), other.processor.clone()),
            ("kernel", self.system.clone(), other.system.clone()),
            ("compiler", self.compiler.clone(), other.compiler.clone()),
            ("servers", self.servers.join(", "), other.servers.join(", ")),
            ("file system", system(self), system(other)),
            ("command", self.command.clone(), other.command.clone()),
        ];
        let differ = facts.into_iter().filter(|(_, ours, theirs)| ours != theirs);
        differ.map(|(name, ours, theirs)| format!("{name}: {theirs} then, {ours} now")).collect()
    }
}

/// How long each of a few small writes takes that has to be on disk, as a server's commit does.
fn writes(path: &Path) -> Result<Times> {
    let (mut file, mut times) = (File::create(path)?, Times::default());
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.add(began.elapsed());
    }
    Ok(times)
}

/// What is checked out, and whether there is more than that beside what was measured before.
fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"]);
    let others = RESULTS.map(|result| format!(":(exclude){result}"));
    let mut status = vec!["status", "--porcelain", "--untracked-files=no", "--", "."];
    status.extend(others.iter().map(String::as_str));
    if said("git", &status).is_empty() { commit } else { format!("{commit}-dirty") }
}

/// The load average of the last minute, as Linux counts it.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
