//! The pure function: what criterion measured of it, as it left that in the folder of builds.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::figure::{Better, Figure, Row, Table};
use crate::statistic::Spread;

#[derive(Debug, Deserialize)]
struct Benchmark {
    full_id: String,
}

#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

/// In nanoseconds.
#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Debug, Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// How many samples criterion takes of each.
const SAMPLES: usize = 100;

/// The newest figures in `folder`.
pub(crate) fn read(folder: &Path) -> Result<Table> {
    let mut table = Table::new("The decision alone");
    let missing = || format!("criterion left nothing in {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(missing)?;
    let mut places: Vec<_> = entries.flatten().map(|entry| entry.path().join("new")).collect();
    places.retain(|place| place.is_dir());
    places.sort();
    for place in places {
        let median = json::<Estimates>(&place.join("estimates.json"))?.median;
        let micros = |nanoseconds: f64| nanoseconds / 1000.0;
        let spread = Spread {
            median: micros(median.point_estimate),
            min: micros(median.confidence_interval.lower_bound),
            max: micros(median.confidence_interval.upper_bound),
            runs: SAMPLES,
        };
        let mut row = Row::new(json::<Benchmark>(&place.join("benchmark.json"))?.full_id);
        row.figures.push(Figure { column: "µs".to_owned(), spread, better: Better::Lower, reach: None });
        table.rows.push(row);
    }
    table
        .note("`plan` by criterion: the median of 100 samples, and between which bounds it is with 95 %. Runs are looked up in a map, \
         by their keys.");
    Ok(table)
}

fn json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not criterion's", file.display()))
}
