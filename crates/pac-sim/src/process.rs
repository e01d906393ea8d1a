//! A simulation in a process of its own: where there was no other before, the same seed gives the same history.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::part::Part;
use crate::simulation::{Breach, Report};

/// What begins a process: the simulator's program, a seed, and how much of its scenario is simulated.
#[derive(Debug, Clone)]
pub struct Process {
    program: PathBuf,
    seed: u64,
    part: Part,
    further: Vec<OsString>,
}

// === impl Process ===

impl Process {
    /// One of `program`, which is pac-sim.
    pub fn new(program: &Path, seed: u64, part: Part) -> Self {
        Self { program: program.to_owned(), seed, part, further: Vec::new() }
    }

    /// The same with an option and its value.
    #[must_use]
    pub fn with(mut self, option: &str, value: impl Into<OsString>) -> Self {
        self.further.extend([option.into(), value.into()]);
        self
    }

    /// The command that repeats it, for people.
    pub fn told(&self) -> String {
        format!("cargo xtask simulate --seed {} --seeds 1 {}", self.seed, self.part)
    }

    /// Simulates, and what came of it. A process that ends by itself has broken a promise (P10), and its last words say how.
    ///
    /// # Errors
    ///
    /// If there is no such program, or it didn't begin to simulate.
    pub fn run(&self) -> Result<Report> {
        let mut command = Command::new(&self.program);
        command.args(["--one", "--seed", &self.seed.to_string()]).args(self.part.arguments());
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
