//! Metrics recorder: where counters and histograms of the whole watcher go.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use pac_metrics::{Kind, metrics};

/// How often what histograms were given is put into their buckets, scraped or not: until then each value takes room.
const TIDY_EVERY: Duration = Duration::from_secs(10);

/// Installs the process's recorder; what it has is rendered by the handle.
pub fn install_metrics() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in metrics() {
        if let Kind::Histogram(bounds) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), bounds)?;
        }
    }
    let handle = builder.install_recorder()?;
    pac_metrics::describe();
    Ok(handle)
}

/// Keeps what histograms were given in their buckets, for ever.
pub(crate) async fn keep_tidy(counted: PrometheusHandle) {
    loop {
        tokio::time::sleep(TIDY_EVERY).await;
        counted.run_upkeep();
    }
}
