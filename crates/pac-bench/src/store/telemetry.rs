//! Log and metrics as the watcher has them: what it does with each slot besides handing it out.

use std::fs::File;
use std::sync::Arc;

use anyhow::{Context, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use pac_watcher::telemetry;
use tempfile::TempDir;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

/// Metrics all the time, and a log while it is switched on, which goes into a file.
pub(super) struct Telemetry {
    level: reload::Handle<LevelFilter, Registry>,
    metrics: PrometheusHandle,
    _folder: TempDir,
}

// === impl Telemetry ===

impl Telemetry {
    /// Of this process; once.
    pub(super) fn install() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pac-bench-").tempdir()?;
        let log = Arc::new(File::create(folder.path().join("log"))?);
        let (filter, level) = reload::Layer::new(LevelFilter::OFF);
        let lines = fmt::layer().json().flatten_event(true).with_writer(log);
        tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()?;
        let metrics = telemetry::install_metrics().context("no metrics")?;
        Ok(Self { level, metrics, _folder: folder })
    }

    /// Whether there is a log from now on, of the level that is the watcher's default.
    pub(super) fn log(&self, on: bool) -> Result<()> {
        Ok(self.level.modify(|level| *level = if on { LevelFilter::INFO } else { LevelFilter::OFF })?)
    }

    /// Puts what histograms were given into their buckets.
    pub(super) fn tidy(&self) {
        self.metrics.run_upkeep();
    }
}
