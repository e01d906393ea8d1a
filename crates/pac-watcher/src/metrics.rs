//! What is read when it is scraped: the queues as the index shows them, the audit, the store, and what is wrong.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use metrics_exporter_prometheus::PrometheusHandle;
use metrics_process::Collector;
use pac_concurrency::{Condition, Connections, Limit, Manager, News, RepositoryKey};
use pac_config::Settings;
use pac_metrics::exposition::Repository;
use pac_metrics::openmetrics::Format;
use pac_metrics::{Exposition, Metric, catalogue, per_repository};
use pac_state::active_store::ActiveStore;
use pac_state::gate::Gate;
use pac_state::health::{Health, NotInForce, Part};
use pac_state::index::{Index, Tally};
use pac_state::work_queue::WorkQueue;
use pac_tenants::Certificate;
use pac_webhook::Webhook;
use tokio::sync::watch;
use tokio::time::Instant;

/// Leaked slots of a repository that are named.
const NAMED_LEAKS: usize = 10;

/// Where all that is told by `/metrics` comes from.
#[derive(Clone)]
pub(crate) struct Measured {
    /// What was counted of the whole watcher.
    pub counted: PrometheusHandle,
    /// What is known of the cluster.
    pub index: Arc<Index>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What is at work.
    pub active_store: Arc<ActiveStore>,
    /// Whether this watcher leads.
    pub leading: watch::Receiver<bool>,
    /// The settings in force, once they were first read.
    pub settings: Arc<OnceLock<watch::Receiver<Arc<Settings>>>>,
    /// The webhook, where there is one.
    pub webhook: Arc<OnceLock<Webhook>>,
    /// What the port for tenants shows, where there is one.
    pub tenants: Arc<OnceLock<Certificate>>,
}

// === impl Measured ===

impl Measured {
    /// All metrics as they are now, in this format.
    pub(crate) fn text(&self, format: Format) -> String {
        Collector::default().collect();
        let repository_labels = self.settings.get().is_none_or(|settings| settings.borrow().repository_labels);
        let mut exposition = Exposition::new(repository_labels);
        if format == Format::OpenMetrics {
            exposition = exposition.with_exemplars();
        }
        self.write_repositories(&mut exposition);
        self.write_store(&mut exposition);
        self.write_watcher(&mut exposition);
        format.of_classic(self.counted.render() + &exposition.text())
    }

    fn write_repositories(&self, exposition: &mut Exposition) {
        let tallies = self.index.tallies();
        let kinds = |kind| tallies.values().filter(|(limit, _)| kind_of(*limit) == kind).count();
        let kinds = ["limited", "unlimited", "held"].map(|kind| (vec![kind], number(kinds(kind))));
        exposition.whole(&catalogue::REPOSITORIES, kinds);
        let mut gauge = |metric: &Metric, value: &dyn Fn(Limit, &Tally) -> Option<f64>| {
            let values = tallies.iter().filter_map(|(key, (limit, tally))| Some((key, value(*limit, tally)?)));
            exposition.of_repositories(metric, values.map(|(key, value)| (named(key), Vec::new(), value)));
        };
        gauge(&catalogue::LIMIT, &|limit, _| limit_runs(limit));
        gauge(&catalogue::RUNNING, &|_, tally| Some(number(tally.running)));
        gauge(&catalogue::WAITING, &|_, tally| Some(number(tally.waiting)));
        gauge(&catalogue::OLDEST_WAITING_AGE, &|_, tally| Some(tally.longest_wait.as_secs_f64()));
        gauge(&catalogue::STARTABLE, &|limit, tally| Some(number(tally.startable(limit))));
        gauge(&catalogue::PAUSED, &|_, tally| Some(number(usize::from(tally.paused))));
        gauge(&catalogue::PAUSED_WITHOUT_END, &|_, tally| tally.paused_without_end.then_some(1.0));
        gauge(&catalogue::EXCESS, &|limit, tally| Some(number(tally.excess(limit))));
        gauge(&catalogue::DRAINING, &|limit, tally| Some(number(tally.draining(limit))));
        let open = |tally: &Tally| (tally.open_to_pacs_queue > 0).then_some(tally.open_to_pacs_queue);
        gauge(&catalogue::OPEN_TO_PACS_QUEUE, &|_, tally| open(tally).map(number));
        let existing: BTreeSet<Repository<'_>> = tallies.keys().map(named).collect();
        per_repository::keep(&existing);
        per_repository::write(exposition, &existing);
        if *self.leading.borrow() {
            self.write_slots(exposition, &existing);
        }
    }

    /// What only the watcher that makes the passes knows.
    fn write_slots(&self, exposition: &mut Exposition, existing: &BTreeSet<Repository<'_>>) {
        let Some((manager, audit)) = self.active_store.manager().zip(self.active_store.audit()) else { return };
        let held = manager.held_slots();
        let known = held.iter().filter(|(key, count)| **count > 0 || existing.contains(&named(key)));
        let slots = known.map(|(key, count)| (named(key), Vec::new(), number(*count)));
        exposition.of_repositories(&catalogue::HELD_SLOTS, slots);
        let leaked = audit.leaked(Instant::now());
        let count = |key: &RepositoryKey| leaked.get(key).map_or(0, Vec::len);
        // One that is gone from the cluster may have leaked slots, too.
        let keys: BTreeSet<&RepositoryKey> = held.keys().chain(leaked.keys()).collect();
        let keys = keys.into_iter().filter(|key| existing.contains(&named(key)) || leaked.contains_key(*key));
        let counts = keys.map(|key| (named(key), Vec::new(), number(count(key))));
        exposition.of_repositories(&catalogue::LEAKED_SLOTS, counts);
        let runs = leaked.iter().flat_map(|(key, runs)| runs.iter().take(NAMED_LEAKS).map(move |run| (key, run)));
        let runs = runs.map(|(key, run)| (named(key), vec![run.name()], 1.0));
        exposition.of_repositories(&catalogue::LEAKED_SLOT, runs);
    }

    fn write_store(&self, exposition: &mut Exposition) {
        // Nobody works on what a standby collects; it looks at everything anew if it comes to lead.
        let leading = *self.leading.borrow();
        let depth = |queue: &WorkQueue| if leading { number(queue.depth()) } else { 0.0 };
        let depth = self.active_store.queue().map(|queue| (Vec::new(), depth(&queue)));
        exposition.whole(&catalogue::WORK_QUEUE, depth);
        let manager = self.active_store.manager();
        let driver = manager.as_deref().map(Manager::driver_name);
        exposition.whole(&catalogue::STORE, driver.map(|driver| (vec![driver], 1.0)));
        let Condition { news, oldest_transaction } = manager.as_deref().map(Manager::condition).unwrap_or_default();
        let hears = news.map(|news| (Vec::new(), f64::from(u8::from(news == News::Heard))));
        exposition.whole(&catalogue::HEARS_CHANGES, hears);
        let age = oldest_transaction.map(|age| (Vec::new(), age.as_secs_f64()));
        exposition.whole(&catalogue::OLDEST_TRANSACTION_AGE, age);
        let Some(connections) = manager.and_then(|manager| manager.connections()) else { return };
        let Connections { most, in_use, idle, waiting } = connections;
        let states = [(vec!["in_use"], f64::from(in_use)), (vec!["idle"], f64::from(idle))];
        exposition.whole(&catalogue::CONNECTIONS, states);
        exposition.whole(&catalogue::CONNECTIONS_MAX, [(Vec::new(), f64::from(most))]);
        exposition.whole(&catalogue::CONNECTION_WAITERS, [(Vec::new(), f64::from(waiting))]);
    }

    fn write_watcher(&self, exposition: &mut Exposition) {
        let yes = |yes: bool| f64::from(u8::from(yes));
        let enabled = self.settings.get().map(|settings| settings.borrow().enabled);
        exposition.whole(&catalogue::ENABLED, enabled.map(|enabled| (Vec::new(), yes(enabled))));
        let paused = self.settings.get().map(|settings| settings.borrow().paused);
        exposition.whole(&catalogue::ALL_PAUSED, paused.map(|paused| (Vec::new(), yes(paused))));
        let backlog = self.active_store.backlog().map(|runs| (Vec::new(), number(runs)));
        exposition.whole(&catalogue::BACKLOG, backlog);
        let holds = self.index.gate().and_then(Gate::holds);
        exposition.whole(&catalogue::GATE_HOLDS, holds.map(|holds| (Vec::new(), yes(holds))));
        let keeps_orders = self.index.gate().filter(|gate| gate.kind().keeps_orders() && gate.holds().is_some());
        let loses_orders = keeps_orders.map(|gate| (Vec::new(), yes(gate.loses_orders(Instant::now()).is_some())));
        exposition.whole(&catalogue::GATE_LOSES_ORDERS, loses_orders);
        exposition.whole(&catalogue::LEADER, [(Vec::new(), yes(*self.leading.borrow()))]);
        let parts = Part::ALL.map(|part| (vec![part.label()], yes(self.health.is_troubled(part))));
        exposition.whole(&catalogue::TROUBLE, parts);
        let reasons = NotInForce::ALL.map(|reason| (vec![reason.label()], yes(self.health.is_not_in_force(reason))));
        exposition.whole(&catalogue::SETTINGS_NOT_IN_FORCE, reasons);
        let webhook = self.webhook.get().map(|webhook| remaining(webhook.expires()));
        exposition.whole(&catalogue::WEBHOOK_CERTIFICATE_REMAINING, webhook);
        let tenants = self.tenants.get().map(|shown| remaining(shown.expires()));
        exposition.whole(&catalogue::TENANT_CERTIFICATE_REMAINING, tenants);
        exposition.whole(&catalogue::BUILD, [(vec![env!("CARGO_PKG_VERSION")], 1.0)]);
    }
}

/// For how long a certificate is still valid, if there is one, in seconds.
fn remaining(expires: Option<SystemTime>) -> (Vec<&'static str>, f64) {
    let left = expires.and_then(|expires| expires.duration_since(SystemTime::now()).ok());
    (Vec::new(), left.unwrap_or_default().as_secs_f64())
}

fn named(key: &RepositoryKey) -> Repository<'_> {
    (key.namespace(), key.name())
}

fn kind_of(limit: Limit) -> &'static str {
    match limit {
        Limit::AtMost(_) => "limited",
        Limit::Unlimited => "unlimited",
        Limit::Unknown => "held",
    }
}

fn limit_runs(limit: Limit) -> Option<f64> {
    match limit {
        Limit::AtMost(most) => Some(f64::from(most.get())),
        Limit::Unknown => Some(0.0),
        Limit::Unlimited => None,
    }
}

/// A count as the format has numbers: exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "there is never so much of anything")]
fn number(count: usize) -> f64 {
    count as f64
}
