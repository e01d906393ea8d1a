//! Today's figures beside earlier ones: what became worse than chance explains.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::figure::{Better, Figure};
use crate::report::Report;

/// A figure may be so much worse, as a share, without that being called a regression.
const ALLOWED: f64 = 0.10;

/// A figure of both.
#[derive(Debug)]
pub(crate) struct Change {
    /// Which: section, table, row and column.
    pub(crate) name: String,
    pub(crate) before: f64,
    pub(crate) now: f64,
    /// Worse by more than is allowed, and out of the range of the earlier runs.
    pub(crate) is_regression: bool,
}

/// The earlier result: a file, or a revision of this repository, whose `docs/benchmarks.json` it is.
pub(crate) fn base(name: &str) -> Result<Report> {
    if Path::new(name).exists() {
        return Report::read(Path::new(name));
    }
    let object = format!("{name}:docs/benchmarks.json");
    let shown = Command::new("git").args(["show", &object]).output().context("can't run git")?;
    if !shown.status.success() {
        bail!("{name} is neither a file nor a revision with docs/benchmarks.json in it");
    }
    Report::parse(&String::from_utf8_lossy(&shown.stdout)).with_context(|| format!("{object} can't be read"))
}

/// What changed, of the figures that both have and that can be better or worse.
pub(crate) fn compare(base: &Report, now: &Report) -> Vec<Change> {
    let mut changes = Vec::new();
    for section in &now.sections {
        let Some(earlier) = base.section(&section.name) else { continue };
        for table in &section.tables {
            let Some(before) = earlier.tables.iter().find(|before| before.title == table.title) else { continue };
            for row in &table.rows {
                let Some(before) = before.rows.iter().find(|before| before.name == row.name) else { continue };
                let both = row.figures.iter().filter_map(|now| Some((before.figure(&now.column)?, now)));
                let place = format!("{}: {}", table.title, row.name);
                changes.extend(both.filter_map(|(before, now)| change(&place, before, now)));
            }
        }
    }
    changes
}

fn change(place: &str, before: &Figure, now: &Figure) -> Option<Change> {
    let (earlier, spread) = (&before.spread, &now.spread);
    let is_worse = match now.better {
        Better::Higher => spread.median < earlier.min && spread.median < earlier.median * (1.0 - ALLOWED),
        Better::Lower => spread.median > earlier.max && spread.median > earlier.median * (1.0 + ALLOWED),
        Better::Neither => return None,
    };
    let name = format!("{place}: {}", now.column);
    Some(Change { name, before: earlier.median, now: spread.median, is_regression: is_worse })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Row, Table};
    use crate::machine::Machine;
    use crate::report::Section;

    fn report(values: [f64; 3], better: Better) -> Report {
        let (mut row, mut table) = (Row::new("row"), Table::new("table"));
        row.add("column", better, values);
        table.rows.push(row);
        let section = Section { name: "plan".into(), machine: Machine::here(String::new()), tables: vec![table] };
        Report { sections: vec![section] }
    }

    fn is_regression(before: [f64; 3], now: [f64; 3], better: Better) -> bool {
        compare(&report(before, better), &report(now, better))[0].is_regression
    }

    #[test]
    fn worse_than_any_run_before_is_a_regression() {
        assert!(is_regression([90.0, 100.0, 110.0], [70.0, 80.0, 85.0], Better::Higher));
        assert!(is_regression([1.0, 1.1, 1.2], [1.3, 1.4, 1.5], Better::Lower));
    }

    #[test]
    fn chance_is_none() {
        assert!(!is_regression([70.0, 100.0, 110.0], [70.0, 80.0, 85.0], Better::Higher), "seen before");
        assert!(!is_regression([99.0, 100.0, 101.0], [94.0, 95.0, 96.0], Better::Higher), "five of a hundred");
        assert!(!is_regression([1.0, 1.1, 1.2], [0.5, 0.6, 0.7], Better::Lower), "better");
        assert!(compare(&report([1.0; 3], Better::Neither), &report([2.0; 3], Better::Neither)).is_empty());
    }
}
