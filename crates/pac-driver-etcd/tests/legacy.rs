//! What the earlier implementation left is found, once, and never changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_concurrency::{Delta, Driver, Holder, LegacyImport, Version};
use pac_devservers::etcd::Etcd;
use pac_driver_etcd::EtcdDriver;

use crate::support::settings;

async fn driver(etcd: &Etcd) -> EtcdDriver {
    EtcdDriver::connect(&settings(&[("etcd-endpoints", &format!("http://127.0.0.1:{}", etcd.port()))])).await.unwrap()
}

fn put(etcd: &Etcd, key: &str, value: &str) {
    etcd.control(&["put", key, value]).unwrap();
}

/// All keys and values there are but ours.
fn left(etcd: &Etcd) -> Vec<String> {
    let all = etcd.control(&["get", "--prefix", "/pac/"]).unwrap();
    let pairs: Vec<&str> = all.lines().collect();
    pairs.chunks(2).filter(|pair| !pair[0].starts_with("/pac/concurrency/v2/")).map(|pair| pair.join(" = ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_was_left_in_a_new_etcd_nor_is_anything_of_ours_taken_for_it() {
    let etcd = Etcd::start().unwrap();
    let driver = driver(&etcd).await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    driver.commit(&"queue/queue".parse().unwrap(), Version::NONE, &holder, &Delta::default()).await.unwrap();
    assert_eq!(driver.legacy_source().unwrap().read().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_queues_are_read_in_their_own_order() {
    let etcd = Etcd::start().unwrap();
    for run in ["late", "early", "gone"] {
        put(&etcd, &format!("/pac/concurrency/ns/repo/queue/ns/{run}"), &format!("ns/{run}"));
    }
    put(&etcd, "/pac/concurrency/ns/repo-2/queue/ns/other", "ns/other");
    put(&etcd, "/pac/leases/ns/repo/ns/runs", "ns/runs");
    put(&etcd, "/pac/concurrency/ns/repo/state", "running");
    put(&etcd, "/pac/concurrency/ns/runs/state", "running");
    put(&etcd, "/pac/concurrency/NS/repo/queue/ns/x", "ns/x");
    let driver = driver(&etcd).await;
    let legacy = driver.legacy_source().unwrap().read().await.unwrap().unwrap();
    let [repo, other] = &legacy.repositories[..] else { panic!("{legacy:?}") };
    assert_eq!((repo.repository.as_str(), &repo.running[..]), ("ns/repo", &["ns/runs".to_owned()][..]));
    assert_eq!(repo.queued, ["ns/late", "ns/early", "ns/gone"]);
    assert_eq!((other.repository.as_str(), &other.queued[..]), ("ns/repo-2", &["ns/other".to_owned()][..]));
    assert_eq!(legacy.corrupt.len(), 1);
    assert!(legacy.corrupt[0].place.contains("/pac/concurrency/NS/repo"), "{:?}", legacy.corrupt);
    let before = left(&etcd);
    let taken = LegacyImport { repositories: 2, slots: 1, waiting: 3, ghosts: 1, corrupt: 1 };
    driver.legacy_source().unwrap().note_imported(&taken).await.unwrap();
    assert_eq!(driver.legacy_source().unwrap().read().await.unwrap(), None);
    assert_eq!(left(&etcd), before);
    // It can be undone.
    etcd.control(&["del", "/pac/concurrency/v2/legacy"]).unwrap();
    assert_eq!(driver.legacy_source().unwrap().read().await.unwrap(), Some(legacy));
}
