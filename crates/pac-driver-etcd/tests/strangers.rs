//! Keys that nobody of ours wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_concurrency::{Delta, Driver, Holder, Version, Window};

use crate::support::{Cluster, enqueue, entry, hold, repository, whole};

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_nobody_of_ours_wrote_are_named_and_skipped() {
    let server = Cluster::start(1);
    let driver = server.connect().await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let delta = Delta { enqueue: vec![entry(1), entry(2)], hold: vec![entry(1)], ..Delta::default() };
    driver.begin(&holder).await.unwrap();
    driver.commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let run = "ns/other/uid";
    let first = "10000000000000000000,0000000000,10000000000000000000";
    let strangers = [
        (format!("/pac/concurrency/v2/slot/ns/repo/{run}"), "not JSON"),
        ("/pac/concurrency/v2/slot/ns/repo/garbage".to_owned(), "{}"),
        ("/pac/concurrency/v2/queue/ns/repo/garbage".to_owned(), ""),
        (format!("/pac/concurrency/v2/queue/ns/repo/{first},ns,run-1,uid-1"), ""),
        (format!("/pac/concurrency/v2/queue/ns/repo/{first},ns,run-3,uid-3"), ""),
        (format!("/pac/concurrency/v2/queue/ns/repo/{first},ns,run-3,uid-3x,"), ""),
        ("/pac/concurrency/v2/version/ns/repo".to_owned(), "\u{0}"),
        ("/pac/concurrency/v2/version/nobodys".to_owned(), "{}"),
        ("/pac/concurrency/v2/holder/no holder".to_owned(), ""),
    ];
    let mut kv = server.kv().await;
    for (key, value) in &strangers {
        kv.put(key.as_str(), *value, None).await.unwrap();
    }
    let snapshot = whole(&driver, &repository).await;
    let waiting: Vec<&str> = snapshot.waiting.iter().map(|entry| entry.run.name()).collect();
    // One that is well-formed is taken for what it says.
    assert_eq!((snapshot.slots.len(), &waiting[..], snapshot.waiting_count), (1, &["run-3", "run-2"][..], 2));
    let mut places: Vec<&str> = snapshot.corrupt.iter().map(|record| record.place.as_str()).collect();
    places.sort_unstable();
    let named = [0, 1, 2, 3, 5, 6].map(|at: usize| format!("etcd key {}", strangers[at].0));
    let mut named: Vec<&str> = named.iter().map(String::as_str).collect();
    named.sort_unstable();
    assert_eq!(places, named);
    let listed = driver.repositories().await.unwrap();
    assert_eq!((listed.keys, listed.corrupt.len()), (vec![repository.clone()], 1));
    // And a commit goes on from there.
    let version = driver.commit(&repository, snapshot.version, &holder, &hold([2])).await.unwrap();
    let snapshot = whole(&driver, &repository).await;
    assert_eq!((snapshot.version, snapshot.slots.len()), (version, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_change_that_is_not_ours_to_make_is_not_made() {
    let server = Cluster::start(1);
    let (driver, mut kv) = (server.connect().await, server.kv().await);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    kv.put("/other/application", "precious", None).await.unwrap();
    let chunk = "/pac/concurrency/v2/staged/ns/repo/x/000000";
    kv.put(chunk, r#"[{"delete":{"key":"/other/application"}}]"#, None).await.unwrap();
    let version = "/pac/concurrency/v2/version/ns/repo";
    kv.put(version, r#"{"by":"x","applying":{"id":"x","chunks":1}}"#, None).await.unwrap();
    let failed = driver.load(&repository, Window::Whole).await.unwrap_err();
    assert!(failed.kind() == "corrupt" && failed.to_string().contains(chunk), "{failed}");
    assert_eq!(kv.get("/other/application", None).await.unwrap().kvs().len(), 1);
    // Others go on, and a person can put this one right.
    driver.load(&"ns/other".parse().unwrap(), Window::Whole).await.unwrap();
    kv.put(version, r#"{"by":"a person"}"#, None).await.unwrap();
    assert_eq!(whole(&driver, &repository).await.waiting.len(), 1);
}
