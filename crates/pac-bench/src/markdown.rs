//! Figures for people: a table in the terminal is the one in `docs/benchmarks.md`.

use std::fmt::Write;

use anyhow::{Context, Result};

use crate::figure::{Better, Figure, Table};
use crate::number::number;
use crate::report::Section;

/// Replaces what `document` says of `section` between its marks, which must be there.
pub(crate) fn replace(document: &str, section: &Section) -> Result<String> {
    let (begin, end) = (format!("<!-- measured: {} -->\n", section.name), format!("<!-- end: {} -->", section.name));
    let missing = || format!("docs/benchmarks.md has no place for {}: {} … {end}", section.name, begin.trim());
    let (before, rest) = document.split_once(&begin).with_context(missing)?;
    let (_, after) = rest.split_once(&end).with_context(missing)?;
    Ok(format!("{before}{begin}\n{}\n{end}{after}", text(section)))
}

/// All of it.
pub(crate) fn text(section: &Section) -> String {
    let machine = &section.machine;
    let mut text = section.tables.iter().map(table).collect::<Vec<_>>().join("\n");
    let _ = write!(
        text,
        "\nMeasured {} at {} by `{}`: {}, {} GiB, {}{}, {}{}; load before {:.2}.\n",
        machine.date,
        machine.commit,
        machine.command,
        machine.processor,
        machine.memory.div_ceil(1024),
        machine.system,
        if machine.disk.is_empty() { String::new() } else { format!(", {}", machine.disk) },
        machine.compiler,
        machine.servers.iter().map(|server| format!(", {server}")).collect::<String>(),
        machine.load_before,
    );
    text
}

fn table(table: &Table) -> String {
    let columns = table.columns();
    let mut lines = vec![format!("**{}**", table.title), String::new()];
    lines.push(format!("| | {} |", columns.join(" | ")));
    lines.push(format!("| --- |{}", " ---: |".repeat(columns.len())));
    for row in &table.rows {
        let cells = columns.iter().map(|column| row.figure(column).map(cell).unwrap_or_default());
        lines.push(format!("| {} | {} |", row.name, cells.collect::<Vec<_>>().join(" | ")));
    }
    lines.push(String::new());
    for note in &table.notes {
        lines.push(note.clone());
        lines.push(String::new());
    }
    lines.join("\n")
}

/// The median; the least and the most of the runs if they differ; and where it should get to.
fn cell(figure: &Figure) -> String {
    let spread = &figure.spread;
    let (median, min, max) = (number(spread.median), number(spread.min), number(spread.max));
    let mut cell = if min == max { median } else { format!("{median} ({min}–{max})") };
    if let (Some(reach), Some(is_reached)) = (figure.reach, figure.is_reached()) {
        let word = if figure.better == Better::Higher { "≥" } else { "≤" };
        let _ = write!(cell, " {} {word} {}", if is_reached { "✓" } else { "✗" }, number(reach));
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Row;
    use crate::machine::Machine;

    #[test]
    fn a_section_takes_the_place_of_the_one_before() {
        let mut row = Row::new("a");
        row.add("pairs/s", Better::Higher, [900.0, 1100.0, 1000.0]).reach("pairs/s", 950.0);
        let mut table = Table::new("Stores");
        table.rows.push(row);
        let section = Section { name: "store".into(), machine: Machine::here("command".into()), tables: vec![table] };
        let document = "before\n<!-- measured: store -->\nold\n<!-- end: store -->\nafter\n";
        let replaced = replace(document, &section).unwrap();
        assert!(replaced.contains("| a | 1,000 (900–1,100) ✓ ≥ 950 |"), "{replaced}");
        assert!(replaced.starts_with("before\n") && replaced.ends_with("\nafter\n") && !replaced.contains("old"));
        assert_eq!(replace(&replaced, &section).unwrap(), replaced);
        assert!(replace("no place", &section).is_err());
    }
}
