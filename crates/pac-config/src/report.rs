//! The text of `pac-watcher check-config`.

use std::fmt::Display;

use crate::keys;
use crate::origin::Origin;
use crate::problem::{Problems, Warning};
use crate::resolve::{Effective, Resolved};

/// Past this width, in characters, a value no longer widens its column.
const WIDEST: usize = 48;

/// The settings that count as a table of key, value and origin, secrets hidden, and the warnings under it.
///
/// Keys of drivers not chosen appear only if they are set. It ends with a line break.
pub fn report(resolved: &Resolved) -> String {
    let is_shown =
        |row: &&Effective| resolved.is_in_use(row.key) && is_of_interest(row) || row.origin != Origin::Default;
    let rows: Vec<_> = resolved.effective.iter().filter(is_shown).map(|row| cells(resolved, row)).collect();
    let headings = ["SETTING", "VALUE", "FROM"].map(str::to_owned);
    let mut text = table(std::iter::once(&headings).chain(&rows));
    text.push_str(&warnings_text(&resolved.warnings));
    text
}

/// The problems and warnings of settings that can't be used. It ends with a line break.
pub fn problems_report(problems: &Problems) -> String {
    let count = problems.problems.len();
    let mut text = format!("{count} {} to solve:\n", if count == 1 { "problem" } else { "problems" });
    text.push_str(&list(&problems.problems));
    text.push_str(&warnings_text(&problems.warnings));
    text
}

/// Some keys are worth a line only to those who set them.
fn is_of_interest(row: &Effective) -> bool {
    ![&keys::ETCD_ENABLED, &keys::POSTGRESQL_PASSWORD_KEY, &keys::ETCD_PASSWORD_KEY].contains(&row.key)
}

fn cells(resolved: &Resolved, row: &Effective) -> [String; 3] {
    let unused = if resolved.is_in_use(row.key) { "" } else { " (not in use)" };
    [row.key.name.to_owned(), row.value.clone(), format!("{}{unused}", row.origin)]
}

fn table<'a>(rows: impl Iterator<Item = &'a [String; 3]> + Clone) -> String {
    let width = |column: usize| {
        let lengths = rows.clone().map(|row| row[column].chars().count());
        lengths.filter(|length| *length <= WIDEST).max().unwrap_or(0)
    };
    let (key_width, value_width) = (width(0), width(1));
    rows.map(|[key, value, origin]| format!("{key:key_width$}  {value:value_width$}  {origin}\n")).collect()
}

fn warnings_text(warnings: &[Warning]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    format!("\nWarnings:\n{}", list(warnings))
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(|item| format!("  {item}\n")).collect()
}
