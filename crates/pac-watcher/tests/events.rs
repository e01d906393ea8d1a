//! What happens in the queues is told as Events: all of it in the end, however much at once, and the place of a run that waits
//! as it is now.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Event as CoreEvent;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use pac_concurrency::{Delta, Driver, Entry, Holder, Manager, ManagerOptions, OrderKey, RepositoryKey, RunKey, Window};
use pac_devcluster::{DevCluster, FaultAction, FaultRule, Options};
use pac_driver_mem::MemDriver;
use pac_kube::api::labels::{QUEUED, REPOSITORY, STATE};
use pac_kube::convert::run_view;
use pac_queue::history::{Happened, Record};
use pac_state::active_store::ActiveStore;
use pac_state::index::Index;
use pac_view::events::{News, Places, Publisher};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster, and who writes Events to it.
struct Stage {
    cluster: DevCluster,
    client: Client,
    index: Arc<Index>,
    news: News,
    _over: DropGuard,
}

impl Stage {
    async fn new() -> Self {
        let cluster = DevCluster::start(Options::default()).await.unwrap();
        cluster.store().ensure_namespace("ns");
        let kubeconfig = Kubeconfig::from_yaml(&cluster.kubeconfig()).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        let client = Client::try_from(config).unwrap();
        let index = Arc::new(Index::new("pipelines-as-code/pipelines-as-code".parse().unwrap()));
        let (news, over) = (News::default(), CancellationToken::new());
        let publisher =
            Publisher { client: client.clone(), index: Arc::clone(&index), identity: "watcher-0".to_owned() };
        tokio::spawn(publisher.run(news.clone(), over.clone()));
        Self { cluster, client, index, news, _over: over.drop_guard() }
    }

    fn tell(&self, run: &RunKey, what: Happened) {
        let (path, uid) = (run.path().to_owned(), run.uid().to_owned());
        let record = Record { at: Timestamp::now(), run: Some(path), uid: Some(uid), what };
        self.news.tell(&repository(), &record);
    }

    /// Every Event on a run: whose, and what it says.
    async fn notes(&self) -> Vec<(String, String)> {
        let events: Api<CoreEvent> = Api::namespaced(self.client.clone(), "ns");
        let all = events.list(&ListParams::default()).await.unwrap().items.into_iter();
        let on_runs = all.filter(|event| event.involved_object.kind.as_deref() == Some("PipelineRun"));
        on_runs.map(|event| (event.involved_object.name.unwrap(), event.message.unwrap())).collect()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&[(String, String)]) -> bool) {
        let said = tokio::time::timeout(PATIENCE, async {
            while !is_so(&self.notes().await) {
                tokio::time::sleep(Duration::from_millis(50)).await; // as somebody with kubectl would look again
            }
        });
        assert!(said.await.is_ok(), "never: {what}; {:?}", self.notes().await);
    }
}

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

fn run(number: usize) -> RunKey {
    RunKey::new("ns", &format!("run-{number:04}"), &format!("uid-{number}")).unwrap()
}

fn entry(number: usize) -> Entry {
    Entry::new(run(number), OrderKey::alone(number as i64))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_thousands_of_news_at_once_the_newest_on_each_run_is_told() {
    const RUNS: usize = 1500;
    let stage = Stage::new().await;
    for number in 0..RUNS {
        stage.tell(&run(number), Happened::Queued { position: number + 1 });
    }
    for number in 0..RUNS {
        stage.tell(&run(number), Happened::Started);
    }
    let started = |notes: &[(String, String)]| notes.iter().filter(|(_, note)| note == "was started").count() == RUNS;
    stage.until("every run's start is told", started).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_would_not_take_for_a_while_is_told_when_it_does() {
    let stage = Stage::new().await;
    let away = FaultAction::Error { status: 503, reason: "ServiceUnavailable".to_owned(), message: "away".to_owned() };
    let fault = stage.cluster.faults().add(FaultRule::new(away).verb("create").resource("events"));
    for number in 0..20 {
        stage.tell(&run(number), Happened::Started);
    }
    tokio::time::timeout(PATIENCE, stage.cluster.faults().struck(fault, 3)).await.unwrap();
    stage.cluster.faults().clear();
    stage.until("all are told", |notes| notes.len() == 20).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_waits_is_told_at_the_place_where_it_is_now() {
    let stage = Stage::new().await;
    let driver = Arc::new(MemDriver::new(Duration::from_secs(60)));
    let holder = Holder::new("watcher-0");
    let commit = async |delta: Delta| {
        let version = driver.load(&repository(), Window::First(0)).await.unwrap().version;
        driver.commit(&repository(), version, &holder, &delta).await.unwrap();
    };
    commit(Delta { enqueue: (1..=3).map(entry).collect(), ..Delta::default() }).await;
    for number in 1..=3 {
        let run = serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "PipelineRun",
            "metadata": {
                "namespace": "ns", "name": run(number).name(), "uid": run(number).uid(),
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {REPOSITORY: "repo", STATE: QUEUED},
            },
            "spec": {"status": "PipelineRunPending"},
        }));
        let view = run_view(&run.unwrap(), None).unwrap();
        stage.index.apply_run(view);
    }
    let manager = Arc::new(Manager::new(driver.clone(), ManagerOptions::new("watcher-0")));
    let active_store = Arc::new(ActiveStore::default());
    active_store.work_with(Some(&manager), None);
    // A watcher that has just become the leader: what is there was told by another, or by nobody.
    stage.news.begin();
    let (_leads, leading) = watch::channel(true);
    let places = Places {
        every: Duration::from_millis(100),
        news: stage.news.clone(),
        active_store,
        index: Arc::clone(&stage.index),
        leading,
    };
    tokio::spawn(places.run());
    let at = |number: usize, place: usize| {
        (run(number).name().to_owned(), format!("waits for a slot of its Repository, at place {place}"))
    };
    stage.until("all are told", |notes| (1..=3).all(|number| notes.contains(&at(number, number)))).await;
    commit(Delta { hold: vec![entry(1)], ..Delta::default() }).await;
    stage.tell(&run(1), Happened::Started);
    stage.until("the others moved up", |notes| notes.contains(&at(2, 1)) && notes.contains(&at(3, 2))).await;
    let of_the_last = stage.notes().await.into_iter().filter(|(name, _)| name == run(3).name()).count();
    assert_eq!(of_the_last, 1, "its place is one Event, which changes");
}
