//! What a figure was measured on: without it no figure says anything.

use std::process::Command;

use serde::{Deserialize, Serialize};

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
            commit: said("git", &["describe", "--always", "--dirty", "--abbrev=12"]),
            servers: Vec::new(),
            date: jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string(),
            command,
            load_before: load(),
        }
    }
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
