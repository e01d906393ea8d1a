//! The live table: redrawn in place on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::summary::RepositoryRow;

/// Rows shown at once where the terminal is high enough; more are summed up.
const ROWS: usize = 20;
/// Lines of the terminal that the table leaves alone: its titles, its last line, and the cursor's.
const OTHER_LINES: usize = 3;
/// Taken for a terminal that doesn't say how large it is.
const SIZE: (usize, usize) = (80, 24);
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
            let (columns, lines) = size();
            let text = table(rows, columns, lines.saturating_sub(OTHER_LINES).clamp(1, ROWS));
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

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(stdout());
    size.map_or(SIZE, |(width, height)| (usize::from(width.0), usize::from(height.0)))
}

/// No line is wider than `columns`: one that went on in the next would be drawn over at the wrong place.
fn table(rows: &[RepositoryRow], columns: usize, shown: usize) -> String {
    let name = |row: &RepositoryRow| format!("{}/{}", row.namespace, row.name);
    let shown_rows = rows.get(..shown).unwrap_or(rows);
    let width = shown_rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(0).max("REPOSITORY".len());
    let mut lines =
        vec![line("REPOSITORY", width, ["LIMIT", "RUNNING", "WAITING", "DONE"].map(str::to_owned)) + "  NEXT"];
    for row in shown_rows {
        let limit = row.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
        let numbers = [limit, row.running.to_string(), row.waiting.to_string(), row.done.to_string()];
        let text = line(&name(row), width, numbers);
        lines.push(with_next(text, &row.next, columns));
    }
    if rows.len() > shown {
        lines.push(format!("… and {} more; all: {}", rows.len() - shown, totals(rows)));
    }
    lines.into_iter().map(|line| line.chars().take(columns).chain(['\n']).collect::<String>()).collect()
}

fn line(name: &str, width: usize, [limit, running, waiting, done]: [String; 4]) -> String {
    format!("{name:<width$}  {limit:>5}  {running:>7}  {waiting:>7}  {done:>5}")
}

/// The names of those that are next, as far as there is room for whole ones.
fn with_next(mut text: String, next: &[String], columns: usize) -> String {
    let mut gap = "  ";
    for name in next {
        if text.chars().count() + gap.len() + name.chars().count() > columns {
            break;
        }
        text = text + gap + name;
        gap = " ";
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
        let text = table(&[row("repo", 5)], 80, ROWS);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("ns/repo") && text.ends_with("  run-0 run-1 run-2\n"), "{text}");
    }

    #[test]
    fn no_line_goes_on_in_the_next_one() {
        let rows: Vec<_> = (0..25).map(|number| row(&format!("demo-000/repo-{number:03}"), 3)).collect();
        for columns in [40, 60, 80, 120] {
            let text = table(&rows, columns, 4);
            assert_eq!(text.lines().count(), 6);
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{text}");
        }
        let text = table(&rows, 62, 4);
        assert!(text.lines().nth(1).unwrap().ends_with("1  run-0"), "whole names, or none:\n{text}");
    }

    #[test]
    fn many_rows_are_summed_up() {
        let rows: Vec<_> = (0..25).map(|number| row(&format!("repo-{number}"), 1)).collect();
        let text = table(&rows, 200, ROWS);
        assert_eq!(text.lines().count(), ROWS + 2);
        assert!(text.contains("… and 5 more; all: repositories 25  running 50  waiting 25  done 25"), "{text}");
    }
}
