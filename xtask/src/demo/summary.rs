//! What the development cluster tells of its own history.

use std::fmt::Write;
use std::time::Duration;

use serde::Deserialize;

/// One Repository now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RepositoryRow {
    pub(super) namespace: String,
    pub(super) name: String,
    /// None if unlimited.
    pub(super) limit: Option<u64>,
    pub(super) running: u64,
    pub(super) waiting: u64,
    pub(super) done: u64,
    /// Names of the first few that wait.
    pub(super) next: Vec<String>,
}

/// Whether the promises were kept, from every version of every object the API server had.
#[derive(Debug, Deserialize)]
pub(super) struct Verdict {
    promises: Vec<PromiseVerdict>,
    repositories: u64,
    runs: u64,
    started: u64,
    done: u64,
    hand_off: HandOff,
    /// From the first run's creation to the last run's end, in milliseconds.
    makespan: f64,
}

#[derive(Debug, Deserialize)]
struct PromiseVerdict {
    id: String,
    held: bool,
    violations: Vec<String>,
}

/// Times from one run's end to the next one's start, in milliseconds.
#[derive(Debug, Deserialize)]
struct HandOff {
    count: u64,
    median: f64,
    p99: f64,
    max: f64,
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn is_broken(&self) -> bool {
        self.promises.iter().any(|promise| !promise.held)
    }

    /// The summary; against the `ideal` time if all is over.
    pub(super) fn text(&self, ideal: Option<Duration>) -> String {
        let took = self.makespan / 1000.0;
        let mut text = format!(
            "{} Repositories, {} PipelineRuns: {} started, {} done in {took:.2} s from the first one's creation",
            self.repositories, self.runs, self.started, self.done,
        );
        if let Some(ideal) = ideal.map(|ideal| ideal.as_secs_f64()) {
            let _ = write!(text, "; ideal {ideal:.2} s, that is {:.2} times the ideal", took / ideal);
        }
        text.push('\n');
        let hand_off = &self.hand_off;
        let _ = writeln!(
            text,
            "hand-off, from a run's end to the next start, both as the API server acknowledged them: median {:.1} ms, p99 \
             {:.1} ms, max {:.1} ms over {} hand-offs",
            hand_off.median, hand_off.p99, hand_off.max, hand_off.count,
        );
        for promise in &self.promises {
            let mark = if promise.held { "✓" } else { "✗" };
            let _ = writeln!(text, "{mark} {} {}", promise.id, meaning(&promise.id));
            for violation in &promise.violations {
                let _ = writeln!(text, "    {violation}");
            }
        }
        text
    }
}

fn meaning(promise: &str) -> &'static str {
    match promise {
        "P1" => "never over the limit",
        "P2" => "each started at most once, and no wish of a user's undone",
        "P3" => "started in order",
        "P4" => "none lost, and no slot left free while one waited",
        _ => "",
    }
}
