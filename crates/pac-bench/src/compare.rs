//! Today's figures beside earlier ones: what became worse than chance explains.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::figure::{Better, Figure, Row};
use crate::report::{Report, Section};

/// A figure may be so much worse, as a share, without that being called a regression.
const ALLOWED: f64 = 0.10;

/// Today's result beside an earlier one.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The figures that both have and that can be better or worse.
    pub(crate) changes: Vec<Change>,
    /// Figures of the earlier one that were not measured today, of sections and drivers that were.
    pub(crate) missing: Vec<String>,
    /// What else differs, and may be why.
    pub(crate) circumstances: Vec<String>,
}

/// A figure of both.
#[derive(Debug)]
pub(crate) struct Change {
    /// Which: table, row and column.
    pub(crate) name: String,
    pub(crate) before: f64,
    pub(crate) now: f64,
    /// What is wrong with it, if anything is.
    pub(crate) verdict: Option<&'static str>,
}

/// The earlier result: a file, as it is named in `folder`, or a revision of this repository, whose `docs/benchmarks.json` it is.
pub(crate) fn base(folder: &Path, name: &str) -> Result<Report> {
    let file = folder.join(name);
    if file.exists() {
        return Report::read(&file);
    }
    let object = format!("{name}:docs/benchmarks.json");
    let shown = Command::new("git").args(["show", &object]).output().context("can't run git")?;
    if !shown.status.success() {
        bail!("{name} is neither a file nor a revision with docs/benchmarks.json in it");
    }
    Report::parse(&String::from_utf8_lossy(&shown.stdout)).with_context(|| format!("{object} can't be read"))
}

/// What changed. Rows of which `is_left_out` says so were not to be measured today, and are not missed.
pub(crate) fn compare(base: &Report, now: &Report, is_left_out: &dyn Fn(&str) -> bool) -> Comparison {
    let mut comparison = Comparison::default();
    for section in &now.sections {
        if let Some(earlier) = base.section(&section.name) {
            comparison.add_section(earlier, section, is_left_out);
        }
    }
    comparison
}

// === impl Comparison ===

impl Comparison {
    /// How many figures became worse or are gone.
    pub(crate) fn faults(&self) -> usize {
        self.missing.len() + self.changes.iter().filter(|change| change.verdict.is_some()).count()
    }

    fn add_section(&mut self, earlier: &Section, now: &Section, is_left_out: &dyn Fn(&str) -> bool) {
        let differences = now.machine.differences(&earlier.machine);
        self.circumstances.extend(differences.into_iter().map(|difference| format!("{}: {difference}", now.name)));
        for before in &earlier.tables {
            let table = now.tables.iter().find(|table| table.title == before.title);
            for before_row in before.rows.iter().filter(|row| !is_left_out(&row.name)) {
                let row = table.and_then(|table| table.rows.iter().find(|row| row.name == before_row.name));
                self.add_row(&format!("{}: {}", before.title, before_row.name), before_row, row);
            }
        }
    }

    fn add_row(&mut self, place: &str, before: &Row, now: Option<&Row>) {
        for before in before.figures.iter().filter(|figure| figure.better != Better::Neither) {
            let name = format!("{place}: {}", before.column);
            match now.and_then(|row| row.figure(&before.column)) {
                Some(now) => self.changes.push(change(name, before, now)),
                None => self.missing.push(name),
            }
        }
    }
}

fn change(name: String, before: &Figure, now: &Figure) -> Change {
    let lost = before.is_reached() == Some(true) && now.is_reached() == Some(false);
    let verdict = if lost { Some("NO LONGER REACHED") } else { is_worse(before, now).then_some("WORSE") };
    Change { name, before: before.spread.median, now: now.spread.median, verdict }
}

/// Whether it is worse by more than is allowed, and that not by chance: out of the range of the earlier runs, or each run of
/// today's worse than most of those were.
fn is_worse(before: &Figure, now: &Figure) -> bool {
    let (earlier, spread) = (&before.spread, &now.spread);
    match now.better {
        Better::Higher => {
            spread.median < earlier.median * (1.0 - ALLOWED)
                && (spread.median < earlier.min || spread.max < earlier.median)
        }
        Better::Lower => {
            spread.median > earlier.median * (1.0 + ALLOWED)
                && (spread.median > earlier.max || spread.min > earlier.median)
        }
        Better::Neither => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Table;
    use crate::machine::Machine;

    fn report(values: [f64; 3], better: Better, reach: Option<f64>) -> Report {
        let (mut row, mut table) = (Row::new("row"), Table::new("table"));
        row.add("column", better, values);
        if let Some(reach) = reach {
            row.reach("column", reach);
        }
        table.rows.push(row);
        let section = Section { name: "plan".into(), machine: Machine::here(String::new()), tables: vec![table] };
        Report { sections: vec![section] }
    }

    fn none_left_out(_: &str) -> bool {
        false
    }

    fn verdict(before: [f64; 3], now: [f64; 3], better: Better) -> Option<&'static str> {
        compare(&report(before, better, None), &report(now, better, None), &none_left_out).changes[0].verdict
    }

    #[test]
    fn worse_than_any_run_before_is_a_regression() {
        assert_eq!(verdict([90.0, 100.0, 110.0], [70.0, 80.0, 85.0], Better::Higher), Some("WORSE"));
        assert_eq!(verdict([1.0, 1.1, 1.2], [1.3, 1.4, 1.5], Better::Lower), Some("WORSE"));
    }

    #[test]
    fn one_bad_run_before_excuses_nothing() {
        assert_eq!(verdict([40.0, 100.0, 110.0], [60.0, 61.0, 62.0], Better::Higher), Some("WORSE"));
        assert_eq!(verdict([1.0, 1.1, 9.0], [2.0, 2.1, 2.2], Better::Lower), Some("WORSE"));
    }

    #[test]
    fn chance_is_none() {
        assert_eq!(verdict([70.0, 100.0, 110.0], [70.0, 80.0, 101.0], Better::Higher), None, "seen before");
        assert_eq!(verdict([99.0, 100.0, 101.0], [94.0, 95.0, 96.0], Better::Higher), None, "five of a hundred");
        assert_eq!(verdict([1.0, 1.1, 1.2], [0.5, 0.6, 0.7], Better::Lower), None, "better");
        assert_eq!(verdict([0.0; 3], [0.0; 3], Better::Lower), None, "nothing, as before");
        let told = |value| report([value; 3], Better::Neither, None);
        assert!(compare(&told(1.0), &told(2.0), &none_left_out).changes.is_empty());
    }

    #[test]
    fn what_got_there_has_to_get_there_again() {
        let (before, now) = ([100.0, 101.0, 102.0], [98.0, 99.0, 103.0]);
        let report = |values| report(values, Better::Higher, Some(100.0));
        assert_eq!(
            compare(&report(before), &report(now), &none_left_out).changes[0].verdict,
            Some("NO LONGER REACHED")
        );
        assert_eq!(compare(&report(now), &report(now), &none_left_out).faults(), 0, "nor did it before");
    }

    #[test]
    fn a_figure_that_is_gone_is_missed_unless_it_was_left_out() {
        let before = report([1.0; 3], Better::Lower, None);
        let mut now = before.clone();
        now.sections[0].tables[0].rows[0].figures.clear();
        assert_eq!(compare(&before, &now, &none_left_out).missing, ["table: row: column"]);
        now.sections[0].tables.clear();
        assert_eq!(compare(&before, &now, &none_left_out).faults(), 1);
        assert_eq!(compare(&before, &now, &|row| row == "row").faults(), 0);
        now.sections.clear();
        assert_eq!(compare(&before, &now, &none_left_out).faults(), 0, "a section that was not asked for");
    }
}
