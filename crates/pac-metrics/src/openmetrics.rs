//! OpenMetrics 1.0, for a scraper that asks for it: what the classic text format says, in its words, with the runs behind the values
//! of two histograms.
//!
//! It is made of the classic text, so that there is one list of what is measured. What differs: a counter's family goes without its
//! `_total`, bounds are written as fractions, help has its quotes escaped, there are no empty lines, and the end is marked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::catalogue::find;
use crate::exemplar::{self, Exemplars, bucket};
use crate::metric::Kind;

/// In which format metrics are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text format, version 0.0.4.
    Classic,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

// === impl Format ===

impl Format {
    /// What an HTTP client that sent this `Accept` wants, if it sent one: OpenMetrics where that is named, and nothing that it likes
    /// better.
    pub fn accepted(accept: Option<&str>) -> Self {
        let ranges = accept.unwrap_or_default().split(',');
        let (mut open, mut classic) = (0.0, 0.0);
        for range in ranges {
            let mut parts = range.split(';').map(str::trim);
            let (kind, parameters) = (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>());
            let of = |name: &str| parameters.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            let quality: f64 = of("q").and_then(|quality| quality.parse().ok()).unwrap_or(1.0);
            let has_version = |versions: &[&str]| of("version").is_none_or(|version| versions.contains(&version));
            match kind.to_ascii_lowercase().as_str() {
                // 0.0.1 was the draft of 1.0.0, and has the same text.
                "application/openmetrics-text" if has_version(&["1.0.0", "0.0.1"]) => open = f64::max(open, quality),
                "text/plain" => classic = f64::max(classic, quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= classic { Self::OpenMetrics } else { Self::Classic }
    }

    /// What the answer's `Content-Type` is.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// `classic`, a text in the classic format, in this one.
    pub fn of_classic(self, classic: String) -> String {
        match self {
            Self::Classic => classic,
            Self::OpenMetrics => openmetrics(&classic),
        }
    }
}

fn openmetrics(classic: &str) -> String {
    let typed = |line: &str, kind| Some(line.strip_prefix("# TYPE ")?.strip_suffix(kind)?.trim_end().to_owned());
    let counters: BTreeSet<String> = classic.lines().filter_map(|line| typed(line, " counter")).collect();
    let exemplars = exemplar::of_the_whole();
    let mut text = String::with_capacity(classic.len() + classic.len() / 8);
    // Writing to a String can't fail.
    for line in classic.lines().filter(|line| !line.is_empty()) {
        let Some(about) = line.strip_prefix("# ") else {
            let _ = writeln!(text, "{}", sample(line, &exemplars));
            continue;
        };
        let mut words = about.splitn(3, ' ');
        let (kind, name, rest) = (words.next(), words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_counter = counters.contains(name);
        let family = if is_counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
        let _ = match kind {
            Some("HELP") => writeln!(text, "# HELP {family} {}", rest.replace('"', "\\\"")),
            // A counter must end with it there.
            Some("TYPE") if is_counter && family == name => writeln!(text, "# TYPE {family} unknown"),
            Some("TYPE") => writeln!(text, "# TYPE {family} {}", if rest == "untyped" { "unknown" } else { rest }),
            _ => Ok(()),
        };
    }
    text.push_str("# EOF\n");
    text
}

/// A line with a value: if it is of a bucket, its bound as a fraction, and the run behind it if that is known.
fn sample(line: &str, exemplars: &BTreeMap<&'static str, Exemplars>) -> String {
    const BOUND: &str = "le=\"";
    let labels = line.find("_bucket{").and_then(|labels| Some(labels + line.get(labels..)?.rfind(BOUND)?));
    let Some((before, rest)) = labels.and_then(|labels| line.split_at_checked(labels + BOUND.len())) else {
        return line.to_owned();
    };
    let Some((bound, after)) = rest.split_once('"') else { return line.to_owned() };
    let is_whole = bound.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = if is_whole { ".0" } else { "" };
    let mut line = format!("{before}{bound}{fraction}\"{after}");
    // Behind those of each Repository the exposition has put them already.
    let (series, name) =
        before.split_once('{').map_or(("", ""), |(series, _)| (series, series.trim_end_matches("_bucket")));
    let known = exemplars.get(name).and_then(|known| Some((known, find(series)?.kind)));
    if let Some((known, Kind::Histogram(bounds))) = known {
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        if let Some(exemplar) = known.of(bucket(bounds, bound)) {
            let _ = write!(line, "{exemplar}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::HAND_OFF;

    #[test]
    fn who_asks_for_openmetrics_gets_it_and_nobody_else() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for accept in [prometheus, "application/openmetrics-text", "Application/OpenMetrics-Text; version=0.0.1; q=0.5"]
        {
            assert_eq!(Format::accepted(Some(accept)), Format::OpenMetrics, "{accept}");
        }
        let classic = [
            "*/*",
            "",
            "text/plain",
            "application/json",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=2.0.0",
            "text/plain, application/openmetrics-text;q=0.9",
        ];
        for accept in classic {
            assert_eq!(Format::accepted(Some(accept)), Format::Classic, "{accept}");
        }
        assert_eq!(Format::accepted(None), Format::Classic);
    }

    #[test]
    fn the_classic_text_in_other_words() {
        HAND_OFF.observe_run(&[], std::time::Duration::from_millis(3), "ns/run");
        let classic = r#"# HELP a_total says "no" and \\
# TYPE a_total counter
a_total{x="le=\"1\""} 1

# HELP odd a counter by another name
# TYPE odd counter
odd 2
# TYPE pac_concurrency_hand_off_seconds histogram
pac_concurrency_hand_off_seconds_bucket{le="0.0025"} 0
pac_concurrency_hand_off_seconds_bucket{le="0.005"} 1
pac_concurrency_hand_off_seconds_bucket{le="1"} 1
pac_concurrency_hand_off_seconds_bucket{le="+Inf"} 1
"#;
        let open = Format::OpenMetrics.of_classic(classic.to_owned());
        let (before, exemplar) = open.split_once(" # {").unwrap();
        let expected = r#"# HELP a says \"no\" and \\
# TYPE a counter
a_total{x="le=\"1\""} 1
# HELP odd a counter by another name
# TYPE odd unknown
odd 2
# TYPE pac_concurrency_hand_off_seconds histogram
pac_concurrency_hand_off_seconds_bucket{le="0.0025"} 0
pac_concurrency_hand_off_seconds_bucket{le="0.005"} 1"#;
        assert_eq!(before, expected);
        let (exemplar, rest) = exemplar.split_once('\n').unwrap();
        assert!(exemplar.starts_with("run=\"ns/run\"} 0.003 1"), "{exemplar}");
        let expected = r#"pac_concurrency_hand_off_seconds_bucket{le="1.0"} 1
pac_concurrency_hand_off_seconds_bucket{le="+Inf"} 1
# EOF
"#;
        assert_eq!(rest, expected);
        assert_eq!(Format::Classic.of_classic(classic.to_owned()), classic);
    }
}
