//! Settings that change, vanish, or are in the ConfigMap of our own, under a watcher at work.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails where it can't go on")]

mod support;

use std::time::{Duration, Instant};

use pac_devcluster::{FaultAction, FaultRule};
use pac_watcher::SettingsPlace;
use pac_watcher::reload::SettingsSource;
use serde_json::{Value, json};
use support::{PATIENCE, Watcher, World};

const PACS: &str = "pipelines-as-code";
const OWN: &str = "pac-concurrency";
const UNUSABLE: &str = "pac_concurrency_settings_not_in_force{reason=\"unusable\"}";

/// Shorter than the time after which everything is read again in any case, which is 10 s.
const SOON: Duration = Duration::from_secs(5);

async fn is_in_force(world: &World, in_force: bool) {
    let value = i32::from(!in_force);
    world.watcher().metrics_have(&format!("{UNUSABLE} {value}"), true).await;
}

fn vanished_from(name: &str) -> String {
    format!("every setting vanished from ConfigMap pipelines-as-code/{name} at once")
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_settings_on_reload_keep_the_last_good_ones() {
    let world = World::new().await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "redis"})).await;
    world.watcher().log_says("driver not found").await;
    is_in_force(&world, false).await;
    world.finish("a").await;
    world.running(&["b"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_strange_about_settings_is_said_once() {
    let world = World::new().await;
    let (first, second) = ("concurency-driver", "postgresq-host");
    world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory", first: "memory"})).await;
    world.watcher().log_says(first).await;
    let times = world.watcher().log_count(first);
    world
        .settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory", first: "memory", second: "2"}))
        .await;
    world.watcher().log_says(second).await;
    assert_eq!(world.watcher().log_count(first), times);
}

/// Deleted, and overwritten by somebody who knows nothing of our keys, as `kubectl apply` of PAC's release does.
#[tokio::test(flavor = "multi_thread")]
async fn settings_that_vanish_stay_in_force_until_they_are_back() {
    for overwritten in [None, Some(json!({"application-name": "CI"}))] {
        let world = World::new().await;
        world.repository("repo", Some(1)).await;
        world.event("repo", &["a", "b"]).await;
        world.running(&["a"]).await;
        match overwritten {
            Some(data) => world.settings(data).await,
            None => world.no_config_map(PACS).await,
        }
        world.watcher().log_says(&vanished_from(PACS)).await;
        is_in_force(&world, false).await;
        world.finish("a").await;
        world.running(&["b"]).await;
        world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory"})).await;
        is_in_force(&world, true).await;
        // One key that is left is a wish.
        world.settings(json!({"concurrency-enabled": "false"})).await;
        world.watcher().log_says("switched off").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_of_our_own_wins_and_is_followed() {
    let mut world = World::without_watcher().await;
    let on = || -> Value { json!({"concurrency-enabled": "true", "concurrency-driver": "memory"}) };
    world.settings(json!({"application-name": "CI"})).await;
    world.start_watcher();
    world.watcher().log_says("switched off").await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.config_map(OWN, on()).await;
    world.running(&["a"]).await;
    // What another does to PAC's is nothing to us, but that it is told.
    world.settings(json!({"application-name": "CI", "concurrency-enabled": "no"})).await;
    world.watcher().log_says("wins over ConfigMap pipelines-as-code/pipelines-as-code").await;
    world.settings(json!({"application-name": "CI"})).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    world.no_config_map(OWN).await;
    world.watcher().log_says(&vanished_from(OWN)).await;
    assert_eq!(world.watcher().log_count(&vanished_from(PACS)), 0);
    world.finish("b").await;
    world.running(&["c"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_everything_is_paused_nobody_is_admitted_and_it_says_so() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    world.event("repo", &["a", "b", "c"]).await;
    world.running(&["a", "b"]).await;
    let on = json!({"concurrency-enabled": "true", "concurrency-driver": "memory"});
    let mut paused = on.clone();
    paused["concurrency-paused"] = "true".into();
    world.settings(paused).await;
    let watcher = world.watcher();
    watcher.log_says("paused (concurrency-paused is true): nobody is admitted").await;
    world.finish("a").await;
    world.repository("other", Some(1)).await;
    world.event("other", &["x"]).await;
    // Long enough for both to have been admitted: the final state of one is written by a pass of the Repository.
    world.state_is("a", "completed").await;
    watcher.shows(watcher.admin_addr, "/debug/queue", &format!("{}/x", world.namespace), true).await;
    watcher.shows(watcher.admin_addr, "/debug/queue/summary", "\"paused\":true", true).await;
    watcher.shows(watcher.metrics_addr, "/metrics", "pac_concurrency_paused 1", true).await;
    let path = format!("/debug/queue/explain?run={}/c", world.namespace);
    watcher.shows(watcher.admin_addr, &path, "concurrency-paused is true", true).await;
    let now = world.recorder.now();
    assert!(now["c"].is_pending() && now["x"].is_pending());
    world.settings(on).await;
    world.running(&["b", "c", "x"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_our_own_config_map_only_where_pacs_says_nothing() {
    let world = World::without_watcher().await;
    let place = SettingsPlace {
        namespace: PACS.to_owned(),
        config_map: PACS.to_owned(),
        secret: "pac-concurrency-secret".to_owned(),
        config_file: None,
        kubeconfig: Some(world.cluster.kubeconfig_file().to_owned()),
        request_timeout: PATIENCE,
    };
    let source = SettingsSource::at(&place).await.unwrap();
    for (settings, is_needed) in
        [(json!({"application-name": "CI"}), true), (json!({"concurrency-enabled": "no"}), false)]
    {
        world.settings(settings).await;
        let sources = source.sources().await.unwrap();
        let is_missing = sources.missing().iter().any(|object| object == "ConfigMap pipelines-as-code/pac-concurrency");
        assert_eq!(is_missing, is_needed, "{:?}", sources.missing());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn one_in_office_that_can_not_read_the_settings_goes_on_by_those_it_has() {
    let world = World::new().await;
    world.repository("repo", Some(2)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
    let unread = world.cluster.faults().add(unreadable_config_maps());
    world
        .settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory", "concurrency-paused": "true"}))
        .await;
    tokio::time::timeout(PATIENCE, world.cluster.faults().struck(unread, 1)).await.unwrap();
    world.event("repo", &["b"]).await;
    world.running(&["a", "b"]).await;
    assert_eq!(world.watcher().log_count("settings that may be old"), 0);
    world.cluster.faults().remove(unread);
    let paused = world.watcher().log_says("paused (concurrency-paused is true): nobody is admitted");
    tokio::time::timeout(SOON, paused).await.expect("it asks again long before its next turn");
}

/// Doubling from 200 ms, less a quarter of jitter, five tries take this long at least.
const FIVE_TRIES: Duration = Duration::from_millis(2250);

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn one_that_starts_and_can_not_read_the_settings_tries_less_and_less_often() {
    let mut world = World::without_watcher().await;
    let unread = world.cluster.faults().add(unreadable_config_maps());
    let began = Instant::now();
    world.start_watcher();
    tokio::time::timeout(PATIENCE, world.cluster.faults().struck(unread, 5)).await.unwrap();
    assert!(began.elapsed() > FIVE_TRIES, "{:?}", began.elapsed());
    world.cluster.faults().remove(unread);
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a"]).await;
    world.running(&["a"]).await;
}

fn unreadable_config_maps() -> FaultRule {
    let status =
        FaultAction::Error { status: 500, reason: "InternalError".to_owned(), message: "on purpose".to_owned() };
    FaultRule::new(status).verb("get").resource("configmaps")
}

/// One that leads, one that follows, and from now on neither is told that a ConfigMap changes.
async fn two_that_are_told_of_no_change() -> (World, [Watcher; 2]) {
    let world = World::without_watcher().await;
    world.settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory"})).await;
    world.repository("repo", Some(1)).await;
    let start = |identity| Watcher::start_as(world.cluster.kubeconfig_file(), identity);
    let leader = start("leader");
    leader.log_says("admitting PipelineRuns").await;
    let follower = start("follower");
    follower.ready(true).await;
    let silence = FaultRule::new(FaultAction::NeverAnswer).verb("watch").resource("configmaps");
    let silence = world.cluster.faults().add(silence);
    world.cluster.faults().close_watches();
    // Two ConfigMaps, and two who watch them.
    tokio::time::timeout(PATIENCE, world.cluster.faults().struck(silence, 4)).await.unwrap();
    (world, [leader, follower])
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "cuts watches")]
async fn whoever_comes_to_lead_admits_by_the_settings_of_that_time() {
    let (world, [leader, follower]) = two_that_are_told_of_no_change().await;
    world
        .settings(json!({"concurrency-enabled": "true", "concurrency-driver": "memory", "concurrency-paused": "true"}))
        .await;
    leader.stop();
    world.event("repo", &["a"]).await;
    follower.log_says("admitting PipelineRuns").await;
    let log = follower.log_text();
    let at = |text| log.find(text).unwrap();
    assert!(at("paused (concurrency-paused is true)") < at("admitting PipelineRuns"), "{log}");
    assert_eq!(follower.log_count("paused (concurrency-paused is true)"), 1);
    assert!(world.recorder.now()["a"].is_pending());
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "cuts watches")]
async fn whoever_comes_to_lead_and_can_not_read_the_settings_admits_nobody_and_says_so() {
    let (world, [leader, follower]) = two_that_are_told_of_no_change().await;
    let status = FaultAction::Error { status: 403, reason: "Forbidden".to_owned(), message: "on purpose".to_owned() };
    world.cluster.faults().add(FaultRule::new(status).verb("get").resource("secrets"));
    leader.stop();
    world.event("repo", &["a"]).await;
    follower.log_says("nobody is admitted by settings that may be old: can't read Secret").await;
    follower.ready(false).await;
    assert!(world.recorder.now()["a"].is_pending());
    world.cluster.faults().clear();
    world.running(&["a"]).await;
    follower.ready(true).await;
}
