//! What a run that waits says of its wait, on the run itself: true while it waits, gone when it starts, and who pays for it.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pac_concurrency::RunKey;
use pac_devcluster::{Change, FaultAction, FaultRule};
use pac_kube::api::labels::{EXPECTED_START, PLACE, REASON};
use pac_kube::notice::{NOTICE, Notice};
use pac_kube::patch::{NoticeOutcome, put_notice};
use pac_watcher::Pace;
use serde_json::{Value, json};
use support::kueue::QUEUE_NAME;
use support::{PATIENCE, World};

/// A minute is half a second.
const QUICK: Pace = Pace {
    settles: Duration::from_millis(100),
    rests: Duration::from_millis(500),
    rate: 100,
    off_by: Duration::from_secs(15),
    round: Duration::from_millis(20),
    looks: (Duration::from_millis(50), Duration::from_millis(500)),
    looking: 2,
};

impl World {
    /// A development cluster whose watcher writes quickly.
    async fn quick() -> Self {
        let mut world = Self::without_watcher().await;
        world.start_watcher_at(QUICK);
        world
    }

    /// What `run` says: place, reason, expected start.
    fn says(&self, run: &str) -> [Option<String>; 3] {
        let run = self.cluster.development().store().get("pipelineruns", &self.namespace, run).unwrap();
        said(&run)
    }

    /// Waits until `run` says that it is at this place, or nothing of any, for a reason with these words.
    async fn says_so(&self, run: &str, place: Option<&str>, reason: &str) {
        let is_so = |[is, why, _]: &[Option<String>; 3]| {
            is.as_deref() == place && why.as_ref().is_some_and(|why| why.contains(reason))
        };
        self.until_says(run, reason, is_so).await;
    }

    /// Waits until `run` says nothing.
    async fn says_nothing(&self, run: &str) {
        self.until_says(run, "nothing", |says| says.iter().all(Option::is_none)).await;
    }

    async fn until_says(&self, run: &str, what: &str, is_so: impl Fn(&[Option<String>; 3]) -> bool) {
        let said = tokio::time::timeout(PATIENCE, async {
            while !is_so(&self.says(run)) {
                tokio::time::sleep(Duration::from_millis(10)).await; // as somebody with kubectl would look again
            }
        });
        assert!(said.await.is_ok(), "{run} never said {what}: {:?}", self.says(run));
    }

    /// How often something was written that a run says, for each run.
    fn writes(&self) -> BTreeMap<String, Vec<Duration>> {
        let mut says: BTreeMap<String, [Option<String>; 3]> = BTreeMap::new();
        let mut writes: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for version in self.cluster.development().history() {
            if version.resource != "pipelineruns" || version.change == Change::Deleted {
                continue;
            }
            let now = said(&version.object);
            if says.insert(version.name.clone(), now.clone()).unwrap_or_default() != now
                && version.object["spec"]["status"] == "PipelineRunPending"
            {
                writes.entry(version.name).or_default().push(version.at);
            }
        }
        writes
    }

    /// Whether no version of any run that was no longer pending said anything.
    fn no_started_run_says_anything(&self) -> bool {
        let versions = self.cluster.development().history().into_iter();
        let mut started = versions.filter(|version| version.resource == "pipelineruns" && !is_pending(&version.object));
        started.all(|version| said(&version.object).iter().all(Option::is_none))
    }
}

fn said(run: &Value) -> [Option<String>; 3] {
    NOTICE.map(|name| run["metadata"]["annotations"].get(name).and_then(Value::as_str).map(str::to_owned))
}

fn is_pending(run: &Value) -> bool {
    run["spec"]["status"] == "PipelineRunPending"
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn a_run_says_its_place_and_why_it_waits_until_it_starts() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c", "d"]).await;
    world.running(&["a"]).await;
    world.says_so("b", Some("1"), "it waits for the one slot of its Repository").await;
    world.says_so("c", Some("2"), "it waits for the one slot").await;
    assert_eq!(world.says("a"), [None, None, None], "it started within a moment");
    let paused =
        json!({"metadata": {"annotations": {"concurrency.pipelinesascode.tekton.dev/paused": "the disk is full"}}});
    world.patch_repository("repo", paused).await;
    world.says_so("c", Some("2"), "is paused until it is resumed: the disk is full").await;
    let resumed = json!({"metadata": {"annotations": {"concurrency.pipelinesascode.tekton.dev/paused": null}}});
    world.patch_repository("repo", resumed).await;
    world.set_limit("repo", Some(2)).await;
    world.running(&["a", "b"]).await;
    world.says_so("c", Some("1"), "it waits for one of 2 slots of its Repository").await;
    // Three have ended by then, which is enough to judge by.
    for name in ["a", "b"] {
        world.finish(name).await;
    }
    world.running(&["c", "d"]).await;
    world.event("repo", &["e", "f"]).await;
    world.finish("c").await;
    world.running(&["d", "e"]).await;
    world.until_says("f", "when it starts", |[place, _, start]| place.as_deref() == Some("1") && start.is_some()).await;
    let [_, _, start] = world.says("f");
    assert!(start.as_ref().unwrap().parse::<k8s_openapi::jiff::Timestamp>().is_ok(), "{start:?}");
    assert!(world.no_started_run_says_anything());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn what_is_true_already_is_not_written_again_and_our_own_writes_are_no_news() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.says_so("c", Some("2"), "it waits for").await;
    let count = || world.writes().values().map(Vec::len).sum::<usize>();
    assert_eq!(count(), 2);
    // Four of its minutes: that nothing is written in them nothing can tell but time.
    tokio::time::sleep(QUICK.rests * 4).await;
    assert_eq!(count(), 2);
    // Somebody takes it back, or writes what isn't so: it is put right, when the watch has shown it for a while.
    world.annotate("c", PLACE, "1").await;
    world.says_so("c", Some("2"), "it waits for").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn whoever_stops_waiting_otherwise_says_nothing_any_more() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c", "d", "e"]).await;
    for (name, place) in [("b", "1"), ("c", "2"), ("d", "3"), ("e", "4")] {
        world.says_so(name, Some(place), "it waits for").await;
    }
    world.cancel("b").await;
    world.says_nothing("b").await;
    world.patch_run("c", json!({"spec": {"status": null}})).await;
    world.says_nothing("c").await;
    // Done by the time anybody looks, and out of the watch: as PAC's watcher leaves it.
    world.cluster.faults().pause_watches();
    let done = json!({"metadata": {"labels": {"pipelinesascode.tekton.dev/state": "failed"}}, "spec": {"status": "Cancelled"}});
    world.patch_run("d", done).await;
    world.cluster.faults().resume_watches();
    world.says_nothing("d").await;
    world.says_so("e", Some("1"), "it waits for").await;
    // Another Repository's limit counts for it now.
    world.repository("other", Some(1)).await;
    world.delete_repository("repo").await;
    world.says_so("e", Some("1"), "there is no Repository").await;
    world.annotate("e", "pipelinesascode.tekton.dev/repository", "other").await;
    world.started("e").await;
    world.says_nothing("e").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn a_setting_turns_it_off_and_nothing_is_left_behind() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.says_so("b", Some("1"), "it waits for").await;
    let on = json!({"concurrency-enabled": "true", "concurrency-driver": "memory"});
    let with = |key: &str, value: &str| {
        let mut settings = on.clone();
        settings[key] = value.into();
        settings
    };
    world.settings(with("concurrency-annotations", "false")).await;
    world.says_nothing("b").await;
    world.settings(on.clone()).await;
    world.says_so("b", Some("1"), "it waits for").await;
    world.settings(with("concurrency-enabled", "false")).await;
    world.says_nothing("b").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn what_another_leader_left_is_taken_over() {
    let mut world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.says_so("c", Some("2"), "it waits for").await;
    world.kill_watcher();
    world.cancel("b").await;
    world.start_watcher_at(QUICK);
    world.says_nothing("b").await;
    world.says_so("c", Some("1"), "it waits for").await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn what_others_hold_and_what_is_refused_is_said_with_their_words() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.run_with("repo", "of-kueue", json!({"metadata": {"labels": {QUEUE_NAME: "team"}}})).await;
    world.says_so("of-kueue", None, "Kueue holds it (label kueue.x-k8s.io/queue-name: team)").await;
    world.run_with("unlimited", "of-nobody", json!({"metadata": {"labels": {QUEUE_NAME: "team"}}})).await;
    world.repository("unlimited", None).await;
    // A policy that lets nobody be started, and everything else be written.
    let rule = json!({"apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["pipelineruns"]});
    let spec = json!({
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "has(object.spec.status) || !has(oldObject.spec.status)", "message": "not on a Friday"}],
    });
    world.admission("ValidatingAdmissionPolicy", "validatingadmissionpolicies", spec).await;
    let binding = json!({"policyName": "fridays", "validationActions": ["Deny"]});
    world.admission("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", binding).await;
    world.event("repo", &["a"]).await;
    world.says_so("a", Some("1"), "refused to start it, and others may pass it meanwhile. It said: ").await;
    world.says_so("a", Some("1"), "not on a Friday").await;
    assert_eq!(world.says("of-nobody"), [None, None, None], "the system has no part in it");
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn a_store_that_is_away_is_said_without_its_name_though_nobody_leads() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.says_so("b", Some("1"), "it waits for").await;
    world.watcher().store.away.store(true, Ordering::Relaxed);
    world.says_so("b", Some("1"), "the store of slots and queues can't be reached, so nobody is admitted").await;
    assert!(!world.says("b")[1].as_ref().unwrap().contains("on purpose"), "in whose words is for operators");
    world.watcher().log_says("no longer leading").await;
    world.annotate("b", REASON, "no reason").await;
    world.says_so("b", Some("1"), "the store of slots and queues can't be reached").await;
    world.watcher().store.away.store(false, Ordering::Relaxed);
    world.says_so("b", Some("1"), "it waits for").await;
}

impl World {
    async fn admission(&self, kind: &str, plural: &str, spec: Value) {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural));
        let object = json!({"metadata": {"name": "fridays"}, "spec": spec});
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn an_api_server_without_time_is_not_asked_again_and_again() {
    let world = World::quick().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
    let busy = FaultAction::Error { status: 429, reason: "TooManyRequests".to_owned(), message: "busy".to_owned() };
    let busy = FaultRule::new(busy).verb("patch").resource("pipelineruns");
    let rule = world.cluster.faults().add(busy);
    world.event("repo", &["b", "c", "d"]).await;
    world.struck(rule).await;
    world.watcher().log_says("could not write onto").await;
    // Many of its minutes: that nothing more is asked nothing can tell but time.
    tokio::time::sleep(QUICK.rests * 4).await;
    let strikes = world.cluster.faults().strikes(rule);
    assert!(strikes <= 4, "one write, which the client repeats: {strikes}");
    assert_eq!(world.writes(), BTreeMap::new());
    world.cluster.faults().clear();
    world.finish("a").await;
    // A start is another matter.
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "reads what the development cluster has seen")]
async fn a_write_that_comes_late_changes_nothing() {
    let world = World::without_watcher().await;
    world.repository("repo", Some(1)).await;
    let notice = Notice { place: Some(3), reason: "it waits".to_owned(), expected_start: None };
    let key = |name: &str, uid: &str| RunKey::new(&world.namespace, name, uid).unwrap();
    world.event("repo", &["a", "b", "c", "d"]).await;
    let runs = world.recorder.until("all are there", |runs| runs.contains_key("d")).await;
    let uids: BTreeMap<String, String> = runs.into_iter().map(|(name, run)| (name, run.uid)).collect();
    world.patch_run("a", json!({"spec": {"status": null}})).await;
    world.cancel("b").await;
    world.annotate("c", "concurrency.pipelinesascode.tekton.dev/handed-over", &uids["c"]).await;
    for (name, uid) in [("a", &*uids["a"]), ("b", &uids["b"]), ("c", &uids["c"]), ("d", "another"), ("gone", "1")] {
        let outcome = put_notice(&world.client, &key(name, uid), &notice).await;
        assert!(matches!(outcome, NoticeOutcome::Past), "{name}: {outcome:?}");
    }
    assert_eq!(world.writes(), BTreeMap::new());
    world.annotate("d", EXPECTED_START, "soon").await;
    let outcome = put_notice(&world.client, &key("d", &uids["d"]), &notice).await;
    assert!(matches!(outcome, NoticeOutcome::Done), "{outcome:?}");
    assert_eq!(world.says("d"), [Some("3".to_owned()), Some("it waits".to_owned()), None]);
    let run = world.cluster.development().store().get("pipelineruns", &world.namespace, "d").unwrap();
    assert_eq!(run["metadata"]["annotations"]["pipelinesascode.tekton.dev/state"], "queued", "the rest stays");
}
