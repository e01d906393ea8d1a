//! What others do is heard, whatever becomes of the connection, the member or the history.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use futures::StreamExt;
use futures::stream::BoxStream;
use pac_concurrency::{Driver, Holder, RepositoryKey, StoreEvent, Version};
use pac_devservers::proxy::{Passage, Proxy};

use crate::support::{Cluster, PATIENCE, commit_eventually, connect_through, enqueue, large, repository};

async fn next(changes: &mut BoxStream<'static, StoreEvent>) -> StoreEvent {
    tokio::time::timeout(PATIENCE, changes.next()).await.expect("nothing was heard").unwrap()
}

/// Waits until `repository` is named; whatever else is heard comes back.
async fn hear(changes: &mut BoxStream<'static, StoreEvent>, repository: &RepositoryKey) -> Vec<StoreEvent> {
    let mut before = Vec::new();
    loop {
        match next(changes).await {
            StoreEvent::Repository(named) if named == *repository => return before,
            other => before.push(other),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_over_a_broken_connection() {
    let server = Cluster::start(1);
    let (proxy, writer) = (Proxy::start(server.port(0)).unwrap(), server.connect().await);
    let mut changes = connect_through(&proxy).await.changes();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync, "what came before can't be known");
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let mut version = writer.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    assert_eq!(hear(&mut changes, &repository).await, []);
    proxy.set(Passage::Closed);
    version = writer.commit(&repository, version, &holder, &enqueue([2])).await.unwrap();
    writer.forget(&repository, version).await.unwrap();
    proxy.set(Passage::Open);
    // Both, and no resync: it goes on where it was.
    assert_eq!(hear(&mut changes, &repository).await, []);
    assert_eq!(hear(&mut changes, &repository).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compacted_before_it_is_heard_is_a_resync() {
    let server = Cluster::start(1);
    let (proxy, writer) = (Proxy::start(server.port(0)).unwrap(), server.connect().await);
    let mut changes = connect_through(&proxy).await.changes();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let version = writer.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    assert_eq!(hear(&mut changes, &repository).await, []);
    proxy.set(Passage::Closed);
    let version = writer.commit(&repository, version, &holder, &enqueue([2])).await.unwrap();
    let version = writer.commit(&repository, version, &holder, &enqueue([3])).await.unwrap();
    server.kv().await.compact(server.revision(&repository).await, None).await.unwrap();
    proxy.set(Passage::Open);
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    writer.commit(&repository, version, &holder, &enqueue([4])).await.unwrap();
    assert_eq!(hear(&mut changes, &repository).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_back_in_time_is_a_resync() {
    let mut server = Cluster::start(1);
    let (listener, writer) = (server.connect().await, server.connect().await);
    let mut changes = listener.changes();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    let repository = repository();
    for number in 1..=3 {
        commit_eventually(&writer, &repository, &enqueue([number])).await;
        hear(&mut changes, &repository).await;
    }
    server.start_over();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    commit_eventually(&writer, &repository, &enqueue([1])).await;
    assert_eq!(hear(&mut changes, &repository).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_changes_are_not_told() {
    let server = Cluster::start(1);
    let (driver, other) = (server.connect().await, server.connect().await);
    let mut changes = driver.changes();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    let (own, others): (RepositoryKey, RepositoryKey) = ("ns/own".parse().unwrap(), "ns/others".parse().unwrap());
    commit_eventually(&driver, &own, &enqueue([1])).await;
    commit_eventually(&driver, &own, &large()).await;
    commit_eventually(&other, &others, &enqueue([1])).await;
    assert_eq!(hear(&mut changes, &others).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_when_its_member_freezes_or_dies() {
    let mut cluster = Cluster::start(3);
    let (listener, writer) = (cluster.connect().await, cluster.connect().await);
    let mut changes = listener.changes();
    assert_eq!(next(&mut changes).await, StoreEvent::Resync);
    let address = listener.check().await.unwrap().address;
    let used = (0..3).find(|number| cluster.endpoint(*number) == address).unwrap();
    cluster.kill(used);
    let repository = repository();
    commit_eventually(&writer, &repository, &enqueue([1])).await;
    hear(&mut changes, &repository).await;
    cluster.restart(used);
    let address = listener.check().await.unwrap().address;
    let used = (0..3).find(|number| cluster.endpoint(*number) == address).unwrap();
    cluster.freeze(used);
    commit_eventually(&writer, &repository, &enqueue([2])).await;
    hear(&mut changes, &repository).await;
}
