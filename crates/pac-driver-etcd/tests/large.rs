//! Changes and queues larger than a transaction or an answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use pac_concurrency::{Delta, Driver, DriverError, Entry, Holder, OrderKey, RepositoryKey, Version, Window};
use pac_devservers::proxy::Proxy;

use crate::support::{Cluster, LARGE, connect_through, enqueue, entry, eventually, hold, large, repository, whole};

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_large_change_leaves_all_or_nothing() {
    let server = Cluster::start(1);
    let (one, other) = (server.connect().await, server.connect().await);
    let holder = Holder::new("watcher");
    let timed: RepositoryKey = "ns/timed".parse().unwrap();
    let began = Instant::now();
    one.commit(&timed, Version::NONE, &holder, &large()).await.unwrap();
    let takes = began.elapsed();
    let (mut halves, mut wholes) = (0, 0);
    for twentieth in 0..20 {
        let repository: RepositoryKey = format!("ns/crashed-{twentieth}").parse().unwrap();
        let delta = large();
        let committing = one.commit(&repository, Version::NONE, &holder, &delta);
        // Dropped there and then, as a process is that is killed.
        let crashed = tokio::time::timeout(takes * twentieth / 20, committing).await.is_err();
        let version = server.kv().await.get(format!("/pac/concurrency/v2/version/{repository}"), None).await.unwrap();
        let applying = version.kvs().first().is_some_and(|key| key.value_str().unwrap().contains("applying"));
        halves += usize::from(crashed && applying);
        let snapshot = whole(&other, &repository).await;
        let found = (snapshot.slots.len(), snapshot.waiting.len());
        assert!(found == LARGE || (found == (0, 0) && snapshot.version == Version::NONE), "{found:?}");
        wholes += usize::from(found == LARGE);
        if found == LARGE {
            assert_eq!(server.keys(&format!("/pac/concurrency/v2/staged/{repository}/")).await, [""; 0]);
        }
    }
    assert!(halves > 0 && wholes >= halves, "no crash came in the middle: {halves} {wholes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_completed_by_many_at_once_is_one_change() {
    let server = Cluster::start(1);
    let one = server.connect().await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(server.connect().await);
    }
    let holder = Holder::new("watcher");
    for round in 0..5 {
        let repository: RepositoryKey = format!("ns/round-{round}").parse().unwrap();
        let delta = large();
        let mut committing = Box::pin(one.commit(&repository, Version::NONE, &holder, &delta));
        let key = format!("/pac/concurrency/v2/version/{repository}");
        // Until it is decided, nobody has anything to complete.
        let decided = async { while server.kv().await.get(key.as_str(), None).await.unwrap().kvs().is_empty() {} };
        let committed = tokio::select! {
            committed = &mut committing => Some(committed),
            () = decided => None,
        };
        let loading = join_all(others.iter().map(|other| whole(other, &repository)));
        let (version, snapshots) = match committed {
            Some(version) => (version.unwrap(), loading.await),
            None => {
                let (version, snapshots) = tokio::join!(committing, loading);
                (version.unwrap(), snapshots)
            }
        };
        for snapshot in snapshots {
            assert_eq!((snapshot.slots.len(), snapshot.waiting.len()), LARGE);
            assert_eq!(snapshot.version, version, "whoever completed it, it is one version");
        }
        let version = one.commit(&repository, version, &holder, &enqueue([5000])).await.unwrap();
        assert_eq!(whole(&others[0], &repository).await.version, version);
    }
}

/// Whoever loads asks for nothing that may or may not have happened, though it completes what another began.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_is_never_in_doubt() {
    let server = Cluster::start(1);
    let (one, proxy) = (server.connect().await, Proxy::start(server.port(0)).unwrap());
    let other = connect_through(&proxy).await;
    let (holder, delta) = (Holder::new("watcher"), large());
    let mut failed = 0;
    for round in 0..15 {
        let repository: RepositoryKey = format!("ns/round-{round}").parse().unwrap();
        let key = format!("/pac/concurrency/v2/version/{repository}");
        let decided = async { while server.kv().await.get(key.as_str(), None).await.unwrap().kvs().is_empty() {} };
        tokio::select! {
            committed = one.commit(&repository, Version::NONE, &holder, &delta) => drop(committed.unwrap()),
            () = decided => {}
        }
        let answers_cut = async {
            // In each round a little later, so that it is another answer that is lost.
            tokio::time::sleep(Duration::from_micros(1_000 * round)).await;
            proxy.cut_answers(1);
        };
        let (loaded, ()) = tokio::join!(other.load(&repository, Window::Whole), answers_cut);
        if let Err(error) = loaded {
            assert_eq!(error.kind(), "unavailable", "round {round}: {error}");
            failed += 1;
        }
        eventually(|| other.load(&repository, Window::Whole)).await;
    }
    assert!(failed > 0, "no answer was lost that mattered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_change_at_a_stale_version_leaves_nothing_behind() {
    let server = Cluster::start(1);
    let driver = server.connect().await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    driver.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    let before = server.keys("/pac/concurrency/v2/").await;
    let failed = driver.commit(&repository, Version::NONE, &holder, &large()).await.unwrap_err();
    assert!(matches!(failed, DriverError::Conflict), "{failed}");
    assert_eq!(server.keys("/pac/concurrency/v2/").await, before);
}

/// Two keys are put for each run that waits: just less than a transaction takes, as much, and just more.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_about_as_large_as_a_transaction_is_done_whole() {
    let server = Cluster::start(1);
    let (one, other) = (server.connect().await, server.connect().await);
    let holder = Holder::new("watcher");
    for runs in [63, 64, 65] {
        let repository: RepositoryKey = format!("ns/of-{runs}").parse().unwrap();
        let version = one.commit(&repository, Version::NONE, &holder, &enqueue(1..=runs)).await.unwrap();
        // This one doesn't know where they are, and looks up as many.
        let gone = Delta { release: (1..=runs).map(|number| entry(number).run).collect(), ..Delta::default() };
        let version = other.commit(&repository, version, &holder, &gone).await.unwrap();
        let snapshot = whole(&one, &repository).await;
        assert_eq!((snapshot.version, snapshot.waiting_count), (version, 0), "{runs}");
    }
}

/// A round trip is most of what a hand-off takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_and_a_commit_take_one_round_trip_but_for_what_is_large() {
    let server = Cluster::start(1);
    let (one, other) = (server.connect().await, server.connect().await);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let mut version = one.commit(&repository, Version::NONE, &holder, &enqueue(1..=4500)).await.unwrap();
    for (window, requests) in [
        (Window::First(0), 1),
        (Window::First(2000), 1),
        (Window::First(2500), 2),
        (Window::First(4500), 3),
        (Window::Whole, 3),
    ] {
        let before = server.requests();
        let snapshot = other.load(&repository, window).await.unwrap();
        assert_eq!(server.requests() - before, requests, "{window:?}");
        assert_eq!(snapshot.waiting.len(), window.size().min(4500), "{window:?}");
    }
    // It saw them all just now, but for those that are new.
    for (delta, requests) in [(enqueue([5000]), 2), (hold([5000]), 1), (hold(6000..6060), 2), (hold(7000..7070), 3)] {
        let before = server.requests();
        version = other.commit(&repository, version, &holder, &delta).await.unwrap();
        assert_eq!(server.requests() - before, requests, "{delta:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_longer_than_a_page_is_loaded_whole_and_changed_unseen() {
    let server = Cluster::start(1);
    let (one, other) = (server.connect().await, server.connect().await);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let version = one.commit(&repository, Version::NONE, &holder, &enqueue(1..=4500)).await.unwrap();
    let snapshot = whole(&other, &repository).await;
    assert_eq!((snapshot.waiting.len(), snapshot.whole, snapshot.version), (4500, true, version));
    let snapshot = other.load(&repository, Window::First(2500)).await.unwrap();
    assert_eq!((snapshot.waiting.len(), snapshot.waiting_count, snapshot.whole), (2500, 4500, false));
    // Neither remembers where these are: they are looked up.
    let delta = Delta {
        release: (2001..=2200).map(|number| entry(number).run).collect(),
        enqueue: (4400..=4501).map(entry).collect(),
        hold: vec![Entry::new(entry(4000).run, OrderKey::alone(0))],
        ..Delta::default()
    };
    let version = other.commit(&repository, version, &holder, &delta).await.unwrap();
    let snapshot = whole(&one, &repository).await;
    assert_eq!((snapshot.waiting.len(), snapshot.version), (4500 - 200 + 1 - 1, version));
    assert_eq!(snapshot.slots[&entry(4000).run].entry, entry(4000));
    assert_eq!(snapshot.corrupt, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_of_a_queue_are_of_one_instant() {
    let server = Cluster::start(1);
    let (writer, reader) = (server.connect().await, server.connect().await);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let mut version = writer.commit(&repository, Version::NONE, &holder, &enqueue(2..=4500)).await.unwrap();
    let writing = async {
        // One run waits at the head or at the tail, never at both.
        for round in 0..1000 {
            let (comes, goes) = if round % 2 == 0 { (1, 9999) } else { (9999, 1) };
            let delta = Delta { release: vec![entry(goes).run], ..enqueue([comes]) };
            version = writer.commit(&repository, version, &holder, &delta).await.unwrap();
        }
    };
    let reading = async {
        let mut both = [0, 0];
        loop {
            let snapshot = whole(&reader, &repository).await;
            let ends = [1, 9999].map(|number| usize::from(snapshot.waiting.contains(&entry(number))));
            assert!(ends[0] + ends[1] <= 1 && snapshot.waiting.len() == 4499 + ends[0] + ends[1], "{ends:?}");
            assert!(both == [0, 0] || ends != [0, 0], "it was at neither end");
            both = [both[0] + ends[0], both[1] + ends[1]];
            if both[0] > 10 && both[1] > 10 {
                break;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => panic!("nothing was read meanwhile"),
    }
}
