//! The live table: redrawn in place on a terminal, plain lines elsewhere.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::summary::RepositoryRow;

/// Rows shown at once; more are summed up.
const ROWS: usize = 20;
/// How often a plain line is written at most.
const LINE_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Table {
    in_place: bool,
    began: Instant,
    lines_drawn: usize,
    last_line: Option<Instant>,
}

// === impl Table ===

impl Table {
    pub(super) fn new() -> Self {
        Self { in_place: stdout().is_terminal(), began: Instant::now(), lines_drawn: 0, last_line: None }
    }

    /// Shows what is so now.
    pub(super) fn show(&mut self, rows: &[RepositoryRow]) -> Result<()> {
        let mut output = stdout().lock();
        if self.in_place {
            let text = table(rows);
            // Up to where the last one began, and everything below gone.
            let back = if self.lines_drawn > 0 { format!("\x1b[{}A\x1b[J", self.lines_drawn) } else { String::new() };
            self.lines_drawn = text.lines().count();
            write!(output, "{back}{text}")?;
        } else if self.last_line.is_none_or(|last| last.elapsed() >= LINE_EVERY) {
            self.last_line = Some(Instant::now());
            writeln!(output, "{:6.1} s  {}", self.began.elapsed().as_secs_f64(), totals(rows))?;
        }
        Ok(output.flush()?)
    }
}

/// Everything in one line.
fn totals(rows: &[RepositoryRow]) -> String {
    let sum = |of: fn(&RepositoryRow) -> u64| rows.iter().map(of).sum::<u64>();
    let next = rows.iter().find_map(|row| Some((row, row.next.first()?)));
    let next = next.map(|(row, run)| format!("  next: {}/{run}", row.namespace)).unwrap_or_default();
    let (running, waiting, done) = (sum(|row| row.running), sum(|row| row.waiting), sum(|row| row.done));
    format!("repositories {}  running {running}  waiting {waiting}  done {done}{next}", rows.len())
}

fn table(rows: &[RepositoryRow]) -> String {
    let mut text =
        format!("{:<28} {:>6} {:>8} {:>8} {:>6}  {}\n", "REPOSITORY", "LIMIT", "RUNNING", "WAITING", "DONE", "NEXT");
    for row in rows.iter().take(ROWS) {
        let name = format!("{}/{}", row.namespace, row.name);
        let limit = row.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let next = row.next.join(" ");
        let _ = writeln!(text, "{name:<28} {limit:>6} {:>8} {:>8} {:>6}  {next}", row.running, row.waiting, row.done);
    }
    if rows.len() > ROWS {
        let _ = writeln!(text, "… and {} more; all: {}", rows.len() - ROWS, totals(rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, waiting: u64) -> RepositoryRow {
        let next = (0..waiting.min(3)).map(|number| format!("run-{number}")).collect();
        RepositoryRow { namespace: "ns".into(), name: name.into(), limit: Some(2), running: 2, waiting, done: 1, next }
    }

    #[test]
    fn a_row_says_who_is_next() {
        let text = table(&[row("repo", 5)]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("ns/repo") && text.contains("run-0 run-1 run-2"), "{text}");
    }

    #[test]
    fn many_rows_are_summed_up() {
        let rows: Vec<_> = (0..25).map(|number| row(&format!("repo-{number}"), 1)).collect();
        let text = table(&rows);
        assert_eq!(text.lines().count(), ROWS + 2);
        assert!(text.contains("… and 5 more; all: repositories 25  running 50  waiting 25  done 25"), "{text}");
    }
}
