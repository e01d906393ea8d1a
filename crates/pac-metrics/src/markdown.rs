//! The catalogue as Markdown, for `docs/metrics.md`.

use std::fmt::Write;

use crate::catalogue::metrics;
use crate::metric::{Combine, Group, Kind, Metric, Values};

/// Every metric as Markdown: one headed table for each group.
///
/// It ends with a line break and has no title of its own, so that a page can be built around it.
pub fn metrics_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "## {group}\n\n| metric | kind | unit | labels | meaning |\n| --- | --- | --- | --- | --- |"
        );
        for metric in metrics().filter(|metric| metric.group == group) {
            let Metric { name, kind, unit, help, .. } = metric;
            let _ = writeln!(
                text,
                "| `{name}` | {} | {unit} | {} | {help}{} |",
                kind.name(),
                labels(metric),
                bounds(*kind)
            );
        }
    }
    text
}

fn labels(metric: &Metric) -> String {
    let repository = match metric.per_repository {
        None => None,
        Some(Combine::Sum) => Some("`namespace`, `repository`".to_owned()),
        Some(Combine::Max) => Some("`namespace`, `repository` (without them the greatest)".to_owned()),
    };
    let own = metric.labels.iter().map(|label| match label.values {
        Values::Closed(values) => format!("`{}`: {}", label.name, values.join(", ")),
        Values::Open(what) => format!("`{}`: {what}", label.name),
    });
    repository.into_iter().chain(own).collect::<Vec<_>>().join("; ")
}

fn bounds(kind: Kind) -> String {
    let Kind::Histogram(bounds) = kind else { return String::new() };
    let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
    format!(" Bounds: {}.", bounds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_row_of_five_cells_for_every_metric() {
        let text = metrics_markdown();
        for metric in metrics() {
            assert!(text.contains(&format!("\n| `{}` | ", metric.name)), "{}", metric.name);
        }
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), metrics().len());
        assert!(rows.iter().all(|row| row.matches(" | ").count() == 4));
    }
}
