//! A development cluster with PAC's controller, and the gate's webhook in front of what it writes.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use pac_devcluster::{DevCluster, Options, PacEvent, PacPlayer, PacRun};
use pac_kube::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT};
use pac_kube::gate;
use pac_webhook::{Lifetimes, NAME, Webhook, keep, serve};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub(crate) const PLACE: &str = "pipelines-as-code";
pub(crate) const STATE: &str = "pipelinesascode.tekton.dev/state";

pub(crate) struct World {
    pub(crate) cluster: DevCluster,
    pub(crate) client: Client,
    pub(crate) leading: watch::Sender<bool>,
}

/// One watcher's part in it; its port closes when it is stopped.
pub(crate) struct Replica {
    pub(crate) webhook: Webhook,
    stop: CancellationToken,
}

impl World {
    pub(crate) async fn new(timeout: u64) -> Self {
        let pac = PacPlayer { watcher: false, provider_latency: Duration::from_millis(5), ..PacPlayer::default() };
        let namespaces = ["ci", PLACE].map(str::to_owned).to_vec();
        let options = Options { namespaces, pac: Some(pac), ..Options::default() };
        let cluster = DevCluster::start(options).await.unwrap();
        let client = Client::try_from(Config::new(cluster.url().parse().unwrap())).unwrap();
        let store = cluster.store();
        let repository = json!({ "metadata": { "name": "repo" }, "spec": { "url": "x", "concurrency_limit": 1 } });
        store.create("repositories", "ci", repository).unwrap();
        for document in serde_yaml::Deserializer::from_str(include_str!("../gate.yaml")) {
            let mut object = Value::deserialize(document).unwrap();
            let kind = object["kind"].as_str().unwrap().to_lowercase();
            if let Some(webhook) = object.pointer_mut("/webhooks/0") {
                webhook["timeoutSeconds"] = timeout.into();
            }
            let place = if object.get("webhooks").is_some() { "" } else { PLACE };
            store.create(&format!("{kind}s"), place, object).unwrap();
        }
        Self { cluster, client, leading: watch::channel(false).0 }
    }

    /// A watcher that serves, and leads where the others let it.
    pub(crate) async fn replica(&self) -> Replica {
        let stop = CancellationToken::new();
        let address = "127.0.0.1:0".parse().unwrap();
        let webhook = serve(self.client.clone(), PLACE.to_owned(), address, stop.clone()).await.unwrap();
        Replica { webhook, stop }
    }

    /// Has somebody lead, for good.
    pub(crate) fn lead(&self, lifetimes: Lifetimes) {
        self.leading.send_replace(true);
        tokio::spawn(keep(self.client.clone(), PLACE.to_owned(), lifetimes, self.leading.subscribe()));
    }

    pub(crate) fn behind_service(&self, replicas: &[&Replica]) {
        let addresses: Vec<_> = replicas.iter().map(|replica| replica.webhook.address()).collect();
        self.cluster.store().serve_service(PLACE, NAME, &addresses);
    }

    /// Until the webhook can be called.
    pub(crate) async fn works(&self) {
        self.eventually("an order is renamed", || async { self.orders_of(&self.push(1).await)[1].len() == 1 }).await;
    }

    pub(crate) async fn have_certificates(&self, replicas: &[&Replica]) {
        let all = || async { replicas.iter().all(|replica| replica.webhook.expires().is_some()) };
        self.eventually("all have taken up a certificate", all).await;
    }

    pub(crate) async fn eventually<F: Future<Output = bool>>(&self, what: &str, mut holds: impl FnMut() -> F) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while !holds().await {
            assert!(tokio::time::Instant::now() < deadline, "not so: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await; // what is awaited is of another task
        }
    }

    /// What PAC's controller makes of an event with so many runs.
    pub(crate) async fn push(&self, runs: usize) -> Vec<Arc<Value>> {
        let runs = (0..runs).map(|run| PacRun::new(&format!("run-{run}")));
        let names = self.cluster.pac().unwrap().push(PacEvent::new("ci", "repo", runs)).await.unwrap();
        names.iter().map(|name| self.cluster.store().get("pipelineruns", "ci", name).unwrap()).collect()
    }

    /// Runs with an order by PAC's name, and by the other; each has been said to be queued.
    pub(crate) fn orders_of(&self, runs: &[Arc<Value>]) -> [BTreeSet<String>; 2] {
        assert!(runs.iter().all(|run| run["metadata"]["annotations"][STATE] == "queued"));
        let with = |key: &str| {
            let those = runs.iter().filter(|run| run["metadata"]["annotations"][key].is_string());
            those.map(|run| run["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        [with(EXECUTION_ORDER), with(EXECUTION_ORDER_KEPT)]
    }

    pub(crate) fn secret(&self) -> Arc<Value> {
        self.cluster.store().get("secrets", PLACE, NAME).unwrap()
    }

    pub(crate) fn bundle(&self) -> String {
        let found = self.cluster.store().get("mutatingwebhookconfigurations", "", gate::NAME).unwrap();
        found["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned()
    }
}

impl Replica {
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop();
    }
}
