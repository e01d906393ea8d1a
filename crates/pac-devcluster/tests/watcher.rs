//! `kube::runtime::watcher`, in both its strategies, keeps up through everything that can happen to a watch.

mod support;

use std::{collections::BTreeSet, pin::pin};

use futures::{Stream, StreamExt};
use kube::{
    api::DynamicObject,
    runtime::{WatchStreamExt, watcher},
};
use pac_devcluster::{DevCluster, FaultAction, FaultRule};
use support::{client, cluster, create, runs};

fn strategies() -> [watcher::Config; 2] {
    [watcher::Config::default().page_size(2), watcher::Config::default().streaming_lists()]
}

fn watched(cluster: &DevCluster, config: watcher::Config) -> impl Stream<Item = watcher::Event<DynamicObject>> {
    // Errors are part of the test: the watcher is to get over them.
    watcher(runs(&client(cluster)), config).default_backoff().filter_map(async |event| event.ok())
}

fn name(object: &DynamicObject) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

/// Reads on until the watcher knows exactly these names.
async fn until(
    known: &mut BTreeSet<String>,
    events: &mut (impl Stream<Item = watcher::Event<DynamicObject>> + Unpin),
    names: &[&str],
) {
    let wanted: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut listed = None;
    while *known != wanted || listed.is_some() {
        let Some(event) = events.next().await else { return };
        match event {
            watcher::Event::Init => listed = Some(BTreeSet::new()),
            watcher::Event::InitApply(object) => {
                listed.get_or_insert_default().insert(name(&object));
            }
            watcher::Event::InitDone => *known = listed.take().unwrap_or_default(),
            watcher::Event::Apply(object) => {
                known.insert(name(&object));
            }
            watcher::Event::Delete(object) => {
                known.remove(&name(&object));
            }
        }
    }
}

#[tokio::test]
async fn reads_every_page_and_follows() {
    for config in strategies() {
        let cluster = cluster().await;
        ["a", "b", "c", "d", "e"].iter().for_each(|name| create(&cluster, name));
        let (mut known, mut events) = (BTreeSet::new(), pin!(watched(&cluster, config)));
        until(&mut known, &mut events, &["a", "b", "c", "d", "e"]).await;
        cluster.store().delete("pipelineruns", "ci", "c").unwrap();
        create(&cluster, "f");
        until(&mut known, &mut events, &["a", "b", "d", "e", "f"]).await;
    }
}

#[tokio::test]
async fn survives_closed_watches() {
    for config in strategies() {
        let cluster = cluster().await;
        let (mut known, mut events) = (BTreeSet::new(), pin!(watched(&cluster, config)));
        create(&cluster, "a");
        until(&mut known, &mut events, &["a"]).await;
        for name in ["b", "c", "d"] {
            cluster.faults().close_watches();
            create(&cluster, name);
        }
        until(&mut known, &mut events, &["a", "b", "c", "d"]).await;
    }
}

#[tokio::test]
async fn survives_expired_versions() {
    for config in strategies() {
        let cluster = cluster().await;
        let (mut known, mut events) = (BTreeSet::new(), pin!(watched(&cluster, config)));
        create(&cluster, "a");
        until(&mut known, &mut events, &["a"]).await;
        // What is deleted while the watch is away is never seen as an event: only a new list tells.
        cluster.store().delete("pipelineruns", "ci", "a").unwrap();
        create(&cluster, "b");
        cluster.faults().expire_versions();
        cluster.faults().close_watches();
        until(&mut known, &mut events, &["b"]).await;
    }
}

#[tokio::test]
async fn survives_dropped_connections() {
    for config in strategies() {
        let cluster = cluster().await;
        let dropped = FaultRule::new(FaultAction::DropBefore).verb("watch").times(2);
        let dropped = cluster.faults().add(dropped);
        let (mut known, mut events) = (BTreeSet::new(), pin!(watched(&cluster, config)));
        create(&cluster, "a");
        until(&mut known, &mut events, &["a"]).await;
        create(&cluster, "b");
        until(&mut known, &mut events, &["a", "b"]).await;
        assert_eq!(cluster.faults().strikes(dropped), 2);
    }
}

#[tokio::test]
async fn survives_an_outage() {
    for config in strategies() {
        let cluster = cluster().await;
        let (mut known, mut events) = (BTreeSet::new(), pin!(watched(&cluster, config)));
        create(&cluster, "a");
        until(&mut known, &mut events, &["a"]).await;
        cluster.faults().refuse_connections();
        create(&cluster, "b");
        cluster.faults().accept_connections();
        until(&mut known, &mut events, &["a", "b"]).await;
    }
}

#[tokio::test]
async fn held_back_events_come_in_order() {
    let cluster = cluster().await;
    let mut events = pin!(watched(&cluster, watcher::Config::default()));
    let mut known = BTreeSet::new();
    create(&cluster, "a");
    until(&mut known, &mut events, &["a"]).await;
    cluster.faults().pause_watches();
    let names = ["b", "c", "d"];
    names.iter().for_each(|name| create(&cluster, name));
    let mut next = pin!(events.next());
    assert!(futures::poll!(&mut next).is_pending());
    cluster.faults().resume_watches();
    let mut seen = vec![next.await];
    seen.push(events.next().await);
    seen.push(events.next().await);
    let seen: Vec<String> = seen
        .into_iter()
        .map(|event| match event {
            Some(watcher::Event::Apply(object)) => name(&object),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, names);
}
