//! A simulation in a process of its own: where there was no other before, the same seed gives the same history.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::simulation::{Breach, Report};

/// What begins a process: the simulator's program, and which of the schedule's steps are to happen.
#[derive(Debug, Clone)]
pub struct Process {
    program: PathBuf,
    seed: u64,
    hours: f64,
    kept: Option<Vec<usize>>,
    further: Vec<OsString>,
}

// === impl Process ===

impl Process {
    /// One of `program`, which is pac-sim, for `seed` and so many virtual hours.
    pub fn new(program: &Path, seed: u64, hours: f64) -> Self {
        Self { program: program.to_owned(), seed, hours, kept: None, further: Vec::new() }
    }

    /// The same with these steps alone, by their numbers; with all of them if there are no numbers.
    #[must_use]
    pub fn with_steps(self, kept: Option<&[usize]>) -> Self {
        Self { kept: kept.map(<[usize]>::to_vec), ..self }
    }

    /// The same with an option that names a file.
    #[must_use]
    pub fn with_file(mut self, option: &str, file: &Path) -> Self {
        self.further.extend([option.into(), file.into()]);
        self
    }

    /// The command that repeats it, for people.
    pub fn told(&self) -> String {
        let steps = self.kept.as_deref().map(|kept| format!(" --steps {}", numbers(kept))).unwrap_or_default();
        format!("cargo xtask simulate --seed {} --seeds 1 --hours {}{steps}", self.seed, self.hours)
    }

    /// Simulates, and what came of it. A process that ends by itself has broken a promise (P10), and its last words say how.
    ///
    /// # Errors
    ///
    /// If there is no such program, or it didn't begin to simulate.
    pub fn run(&self) -> Result<Report> {
        let mut command = Command::new(&self.program);
        command.args(["--one", "--seed", &self.seed.to_string(), "--hours", &self.hours.to_string()]);
        if let Some(kept) = &self.kept {
            command.args(["--steps", &numbers(kept)]);
        }
        let output = command.args(&self.further).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("can't run {}", self.program.display()))?;
        if let Ok(report) = serde_json::from_slice(&output.stdout) {
            return Ok(report);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if said.starts_with("error: ") {
            bail!("{}", said.trim());
        }
        let last: Vec<&str> = said.lines().rev().take(40).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        let how = format!("the process ended, {}:\n{}\n", output.status, last.join("\n"));
        Ok(Report { broken: Some(Breach { promises: vec!["P10".to_owned()], how }), ..Report::default() })
    }
}

/// As `--steps` takes them.
fn numbers(kept: &[usize]) -> String {
    if kept.is_empty() {
        return "none".to_owned();
    }
    kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
