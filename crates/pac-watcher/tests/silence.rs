//! An API server, or a way to it, that is gone without a word: connections stay open, and nothing is answered.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use pac_devcluster::{FaultAction, FaultRule};
use pac_devservers::proxy::{Passage, Proxy};
use support::{Watcher, World};

/// By then work goes on, however silent the server was.
const RECOVERED: Duration = Duration::from_secs(30);
/// How much later where a leader doesn't hear anything: the store is its memory, so it lets its Lease run out.
const LEASE: Duration = Duration::from_secs(15);
/// By then work goes on where the server was known to be gone.
const FOUND_AGAIN: Duration = Duration::from_secs(5);
/// By then `/ready` says so.
const NOTICED: Duration = Duration::from_secs(15);

fn unanswered(verb: &str) -> FaultRule {
    FaultRule::new(FaultAction::NeverAnswer).verb(verb).resource("pipelineruns").caller("remote")
}

/// `a` runs and `b` waits; its limit is 1.
async fn at_work(world: &World) {
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    world.watcher().ready(true).await;
}

/// Waits until `watcher` says that it isn't ready, and why.
async fn notices(watcher: &Watcher, silent_since: Instant, why: &str) {
    watcher.ready(false).await;
    assert!(silent_since.elapsed() < NOTICED, "{:?}", silent_since.elapsed());
    watcher.shows(watcher.probe_addr, "/ready", why, true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_list_that_is_never_answered_is_asked_for_again() {
    let mut world = World::without_watcher().await;
    let faults = world.cluster.faults().clone();
    let silent = faults.add(unanswered("list").times(1));
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    let _way = world.start_remote_watcher();
    world.struck(silent).await;
    let began = Instant::now();
    world.watcher().shows(world.watcher().probe_addr, "/ready", "watch of PipelineRuns", true).await;
    world.running(&["a"]).await;
    assert!(began.elapsed() < RECOVERED, "{:?}", began.elapsed());
    world.watcher().ready(true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_watch_that_is_never_answered_is_not_fine_and_is_asked_for_again() {
    let mut world = World::without_watcher().await;
    let faults = world.cluster.faults().clone();
    let _way = world.start_remote_watcher();
    at_work(&world).await;
    let silent = faults.add(unanswered("watch"));
    let began = Instant::now();
    faults.close_watches();
    world.struck(silent).await;
    notices(world.watcher(), began, "watch of PipelineRuns: a watch was asked for, and there is no answer").await;
    world.finish("a").await;
    faults.struck(silent, 3).await;
    assert_ne!(world.watcher().get(world.watcher().probe_addr, "/ready").await.0, 200, "it is as deaf as before");
    faults.clear();
    let began = Instant::now();
    world.running(&["b"]).await;
    assert!(began.elapsed() < RECOVERED, "{:?}", began.elapsed());
    world.watcher().ready(true).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn connections_that_die_in_silence_are_replaced() {
    let mut world = World::without_watcher().await;
    let way = world.start_remote_watcher();
    at_work(&world).await;
    let began = Instant::now();
    way.swallow_connections();
    world.finish("a").await;
    notices(world.watcher(), began, "").await;
    world.running(&["b"]).await;
    assert!(began.elapsed() < RECOVERED, "{:?}", began.elapsed());
    world.watcher().ready(true).await;
}

/// Neither the connections there were nor new ones, for longer than anybody waits.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_way_that_is_silent_for_a_while_is_not_given_up() {
    let mut world = World::without_watcher().await;
    let way = world.start_remote_watcher();
    at_work(&world).await;
    let began = Instant::now();
    way.set(Passage::Held);
    world.finish("a").await;
    notices(world.watcher(), began, "").await;
    world.watcher().log_says("no longer leading").await;
    way.swallow_connections();
    way.set(Passage::Open);
    let began = Instant::now();
    world.running(&["b"]).await;
    assert!(began.elapsed() < RECOVERED, "{:?}", began.elapsed());
    world.watcher().ready(true).await;
}

/// It renews its Lease all the while.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_leader_that_is_deaf_gives_way() {
    let world = World::without_watcher().await;
    let faults = world.cluster.faults();
    let watcher = |name: &str| {
        let kubeconfig = world.cluster.kubeconfig_of(name, world.cluster.port());
        Watcher::start_as(&kubeconfig, name)
    };
    let deaf = watcher("deaf");
    deaf.log_says("admitting PipelineRuns").await;
    let other = watcher("other");
    other.ready(true).await;
    world.repository("repo", Some(1)).await;
    world.event("repo", &["a", "b"]).await;
    world.running(&["a"]).await;
    assert_eq!(other.log_count("admitting PipelineRuns"), 0);
    let silent = ["list", "watch"].map(|verb| faults.add(unanswered(verb).caller("deaf")));
    let began = Instant::now();
    faults.close_watches();
    world.struck(silent[1]).await;
    world.finish("a").await;
    world.running(&["b"]).await;
    assert!(began.elapsed() < RECOVERED + LEASE, "{:?}", began.elapsed());
    assert_eq!(other.log_count("admitting PipelineRuns"), 1);
    assert_ne!(deaf.get(deaf.probe_addr, "/ready").await.0, 200);
    assert_eq!(other.get(other.probe_addr, "/ready").await.0, 200);
    // It hears again, and stands by.
    silent.into_iter().for_each(|rule| faults.remove(rule));
    deaf.ready(true).await;
}

/// While it is away starts get no answer, and each is tried less and less often.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_server_known_to_be_gone_is_found_again_at_once() {
    let mut world = World::without_watcher().await;
    let faults = world.cluster.faults().clone();
    let way = world.start_remote_watcher();
    at_work(&world).await;
    let lost = faults.add(FaultRule::new(FaultAction::DropBefore).verb("patch").resource("pipelineruns").name("b"));
    world.finish("a").await;
    // After so many failures the next try is 15 s off.
    faults.struck(lost, 8).await;
    let closed = Instant::now();
    way.set(Passage::Closed);
    notices(world.watcher(), closed, "watch of PipelineRuns").await;
    faults.clear();
    way.set(Passage::Open);
    let began = Instant::now();
    world.running(&["b"]).await;
    assert!(began.elapsed() < FOUND_AGAIN, "{:?}", began.elapsed());
}

/// What is asked on a connection that died in silence is lost, and the next is asked on another.
#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(real_cluster, ignore = "needs faults of the API server")]
async fn a_connection_that_nobody_used_for_a_while_is_not_trusted() {
    let world = World::without_watcher().await;
    let way = Proxy::start(world.cluster.port()).unwrap();
    let kubeconfig = world.cluster.kubeconfig_of("alone", way.port());
    let client = pac_kube::cluster::client(Some(&kubeconfig)).await.unwrap();
    // Several at once are as many connections.
    futures::future::try_join_all((0..10).map(|_| client.apiserver_version())).await.unwrap();
    way.swallow_connections();
    tokio::time::sleep(Duration::from_secs(6)).await; // the time they are trusted, 5 s
    let began = Instant::now();
    client.apiserver_version().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}
