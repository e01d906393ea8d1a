//! The watcher's own metrics: help texts, and the gauges that are read off the index when they are scraped.

use std::fmt::Write;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use pac_concurrency::Limit;

use crate::index::Index;

/// Registers the help texts of this crate's metrics with the recorder in place.
pub fn describe_metrics() {
    describe_histogram!(
        "pac_concurrency_pass_seconds",
        Unit::Seconds,
        "Time of one pass over one repository, by outcome."
    );
    describe_histogram!(
        "pac_concurrency_start_seconds",
        Unit::Seconds,
        "Time from the commit of a slot to the API server's word that its run was started."
    );
    describe_counter!("pac_concurrency_starts_total", Unit::Count, "Attempts to start a run, by what came of them.");
    describe_counter!("pac_concurrency_runs_done_total", Unit::Count, "Final states written onto runs, by outcome.");
    describe_counter!("pac_concurrency_watch_failures_total", Unit::Count, "Watches and lists that broke, by watch.");
    describe_counter!("pac_concurrency_config_reloads_total", Unit::Count, "Changes of the settings, by outcome.");
    describe_gauge!("pac_concurrency_trouble", "1 for each part that is in trouble now; the log says why.");
    describe_gauge!("pac_concurrency_leader", "1 while this watcher admits runs.");
}

/// What is true of every repository now, in Prometheus' text format. Read at scrape time: a repository that is gone is gone
/// from here too.
pub fn repository_gauges(index: &Index) -> String {
    let tallies = index.tallies();
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: &mut dyn Iterator<Item = (&str, &str, u64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (namespace, repository, value) in values {
            // Names of Kubernetes objects need no escaping.
            let _ = writeln!(text, "{name}{{namespace=\"{namespace}\",repository=\"{repository}\"}} {value}");
        }
    };
    let mut limits = tallies.iter().filter_map(|(key, (limit, _))| match limit {
        Limit::AtMost(most) => Some((key.namespace(), key.name(), u64::from(most.get()))),
        Limit::Held => Some((key.namespace(), key.name(), 0)),
        Limit::Unlimited => None,
    });
    gauge("pac_concurrency_limit", "How many runs of the repository may run at once; none if unlimited.", &mut limits);
    let mut running = tallies.iter().map(|(key, (_, tally))| (key.namespace(), key.name(), tally.running as u64));
    gauge("pac_concurrency_running", "Runs of the repository that run.", &mut running);
    let mut waiting = tallies.iter().map(|(key, (_, tally))| (key.namespace(), key.name(), tally.waiting as u64));
    gauge("pac_concurrency_waiting", "Runs of the repository that wait for a slot.", &mut waiting);
    text
}
