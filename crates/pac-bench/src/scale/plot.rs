//! The curve, as a picture: `docs/images/benchmarks-scale.svg`.

use std::fmt::Write;

use pac_config::DriverKind;

use crate::figure::{Row, Table};
use crate::number::number;

/// What is drawn, each in a panel of its own, from nothing to its greatest.
const PANELS: [(&str, &str); 6] = [
    ("all started, s", "all admitted from an empty store, s"),
    ("resident, MiB", "resident memory, MiB"),
    ("event of no matter, µs", "CPU of an event of no matter, µs"),
    ("a run joins, µs", "CPU when a run joins, µs"),
    ("one is cancelled, µs", "CPU when one is cancelled, µs"),
    ("hand-off, µs", "CPU of a hand-off, µs"),
];
const SIZES: [&str; 3] = ["1,000", "10,000", "100,000"];
const COLOURS: [&str; 3] = ["#1f77b4", "#d95f02", "#2ca02c"];
/// Of a panel's axes, and what is left around them.
const WIDTH: f64 = 190.0;
const HEIGHT: f64 = 130.0;
const MARGIN: f64 = 45.0;

/// The rows of `tables` with a thousand repositories: a panel for each kind of figure, a line for each driver.
pub(crate) fn plot(tables: &[Table]) -> String {
    let (columns, step) = (2, (WIDTH + 2.0 * MARGIN, HEIGHT + 2.0 * MARGIN));
    let (width, height) = (step.0 * columns as f64, step.1 * PANELS.len().div_ceil(columns) as f64 + 30.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, (column, title)) in PANELS.into_iter().enumerate() {
        let (x, y) = ((number % columns) as f64 * step.0 + MARGIN, (number / columns) as f64 * step.1 + MARGIN);
        svg += &panel(tables, column, title, x, y);
    }
    for (number, (kind, colour)) in DriverKind::ALL.iter().zip(COLOURS).enumerate() {
        let (x, y) = (MARGIN + 120.0 * number as f64, height - 15.0);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">● {}</text>", kind.name());
    }
    svg + "</svg>\n"
}

fn panel(tables: &[Table], column: &str, title: &str, x: f64, y: f64) -> String {
    let lines: Vec<(&str, Vec<f64>)> = DriverKind::ALL
        .iter()
        .zip(COLOURS)
        .filter_map(|(kind, colour)| Some((colour, line(tables, *kind, column)?)))
        .collect();
    let most = lines.iter().flat_map(|(_, values)| values).copied().fold(f64::MIN_POSITIVE, f64::max);
    let place = |at: usize, value: f64| (x + WIDTH * (at as f64 + 0.5) / 3.0, y + HEIGHT * (1.0 - value / most));
    let (bottom, right) = (y + HEIGHT, x + WIDTH);
    let mut svg = format!(
        "<text x=\"{x}\" y=\"{}\" font-weight=\"bold\">{title}</text>\n\
         <path d=\"M{x} {y}V{bottom}H{right}\" fill=\"none\" stroke=\"#888\"/>\n",
        y - 12.0
    );
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", x - 4.0, y + 4.0, number(most));
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">0</text>", x - 4.0);
    for (at, size) in SIZES.iter().enumerate() {
        let (middle, _) = place(at, 0.0);
        let _ = writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{size}</text>", bottom + 15.0);
    }
    for (colour, values) in lines {
        let points: Vec<(f64, f64)> = values.into_iter().enumerate().map(|(at, value)| place(at, value)).collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", path.join(" "));
        for (x, y) in points {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
    }
    svg
}

/// The medians of one driver, from the smallest cluster to the largest; none unless there are all three.
fn line(tables: &[Table], kind: DriverKind, column: &str) -> Option<Vec<f64>> {
    let of_size = |size: &str| {
        let name = format!("{}: {size} waiting in 1,000 repositories", kind.name());
        let mut rows = tables.iter().flat_map(|table| &table.rows).filter(|row| row.name == name);
        rows.find_map(|row: &Row| Some(row.figure(column)?.spread.median))
    };
    SIZES.iter().map(|size| of_size(size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Better;

    #[test]
    fn a_line_for_each_driver_that_was_measured_at_every_size() {
        let mut table = Table::new("What one event costs");
        for (size, value) in [("1,000", 1.0), ("10,000", 2.0), ("100,000", 4.0)] {
            let mut row = Row::new(format!("etcd: {size} waiting in 1,000 repositories"));
            row.add("hand-off, µs", Better::Lower, [value]);
            table.rows.push(row);
        }
        table.rows.push(Row::new("memory: 1,000 waiting in 1,000 repositories"));
        let svg = plot(&[Table::new("Large clusters"), table]);
        assert_eq!(svg.matches("<polyline").count(), 1, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 3);
        assert!(svg.contains("CPU of a hand-off, µs") && svg.contains(">4.00<"), "{svg}");
    }
}
