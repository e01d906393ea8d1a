//! Servers that die, freeze, are cut off or lose their answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use futures::future::join_all;
use pac_concurrency::{Driver, Holder, Renewal, Version, Window};
use pac_config::EtcdSettings;
use pac_devservers::proxy::Proxy;
use pac_driver_etcd::EtcdDriver;

use crate::support::{
    Cluster, Race, commit_eventually, connect_through, enqueue, eventually, hold, repository, settings, whole,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_loses_nothing() {
    let mut server = Cluster::start(1);
    let race = Race::new("ns/killed", 300);
    let settings = EtcdSettings { lease_ttl: Duration::from_secs(10), ..server.settings() };
    let mut racers = Vec::new();
    for number in 0..4 {
        let driver = EtcdDriver::connect(&settings).await.unwrap();
        racers.push(tokio::spawn(race.clone().work(driver, format!("racer-{number}"))));
    }
    for quarter in 1..=3 {
        while race.started() < quarter * 75 {
            tokio::task::yield_now().await;
        }
        server.restart(0);
    }
    assert!(!race.is_over(), "it was over before the last blow");
    join_all(racers).await.into_iter().for_each(|racer| racer.unwrap());
    race.judge(&mut server.client().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_of_before_a_backup_was_restored_is_no_states_after_it() {
    let mut server = Cluster::start(1);
    let (one, other) = (server.connect().await, server.connect().await);
    let repository = repository();
    commit_eventually(&one, &repository, &enqueue([1])).await;
    server.back_up();
    let lost = commit_eventually(&one, &repository, &enqueue([2])).await;
    let revision = server.revision(&repository).await;
    server.restore();
    commit_eventually(&other, &repository, &enqueue([3])).await;
    assert_eq!(server.revision(&repository).await, revision, "etcd gives the revision out again");
    let outcome = eventually(async || match one.commit(&repository, lost, &Holder::new("watcher"), &hold([2])).await {
        Err(error) if error.kind() == "conflict" => Ok(Err(())),
        outcome => outcome.map(Ok),
    });
    assert_eq!(outcome.await, Err(()));
    let slots = whole(&other, &repository).await.slots;
    assert!(slots.is_empty(), "{slots:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_killed_under_load_loses_nothing() {
    let mut cluster = Cluster::start(3);
    let race = Race::new("ns/led", 300);
    let settings = EtcdSettings { lease_ttl: Duration::from_secs(10), ..cluster.settings() };
    let mut racers = Vec::new();
    for number in 0..4 {
        let driver = EtcdDriver::connect(&settings).await.unwrap();
        racers.push(tokio::spawn(race.clone().work(driver, format!("racer-{number}"))));
    }
    while race.started() < 100 {
        tokio::task::yield_now().await;
    }
    let leader = cluster.leader().await;
    cluster.kill(leader);
    while race.started() < 200 {
        tokio::task::yield_now().await;
    }
    cluster.restart(leader);
    assert!(!race.is_over(), "it was over before the leader was back");
    join_all(racers).await.into_iter().for_each(|racer| racer.unwrap());
    race.judge(&mut cluster.client().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_member_of_three_is_enough_to_connect_and_two_to_work() {
    let mut cluster = Cluster::start(3);
    let settings = EtcdSettings { dial_timeout: Duration::from_secs(1), ..cluster.settings() };
    cluster.freeze(0);
    // If it led, the others first have to find out.
    let driver = eventually(|| EtcdDriver::connect(&settings)).await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    eventually(|| driver.begin(&holder)).await;
    let version = driver.commit(&repository, Version::NONE, &holder, &enqueue([1, 2])).await.unwrap();
    cluster.kill(1);
    let failed = driver.commit(&repository, version, &holder, &hold([1])).await.unwrap_err();
    assert!(matches!(failed.kind(), "unavailable" | "indeterminate"), "{failed}");
    cluster.thaw(0);
    commit_eventually(&driver, &repository, &enqueue([3])).await;
    cluster.kill(2);
    let failed = driver.load(&repository, Window::Whole).await.unwrap_err();
    assert_eq!(failed.kind(), "unavailable", "{failed}");
    cluster.restart(1);
    let snapshot = eventually(|| driver.load(&repository, Window::Whole)).await;
    assert_eq!(snapshot.slots.len() + snapshot.waiting.len(), 3, "{snapshot:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_freezes_is_left_for_another() {
    let cluster = Cluster::start(3);
    let driver = cluster.connect().await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let version = driver.commit(&repository, Version::NONE, &holder, &enqueue([0])).await.unwrap();
    let address = driver.check().await.unwrap().address;
    let used = (0..3).find(|number| cluster.endpoint(*number) == address).unwrap();
    cluster.freeze(used);
    let began = Instant::now();
    let failed = driver.commit(&repository, version, &holder, &enqueue([1])).await.unwrap_err();
    assert_eq!(failed.kind(), "indeterminate", "{failed}");
    commit_eventually(&driver, &repository, &enqueue([2])).await;
    // Its connection is found dead only after 15 s.
    assert!(began.elapsed() < Duration::from_secs(13), "{:?}", began.elapsed());
    assert_ne!(driver.check().await.unwrap().address, address);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cut_off_from_the_others_is_left_for_them() {
    let cluster = Cluster::start(3);
    let driver = cluster.connect().await;
    let repository = repository();
    commit_eventually(&driver, &repository, &enqueue([0])).await;
    let address = driver.check().await.unwrap().address;
    let used = (0..3).find(|number| cluster.endpoint(*number) == address).unwrap();
    cluster.cut_off(used);
    let (began, mut committed) = (Instant::now(), 1);
    // What was on its way already when it was cut off gets through, and is no reason to leave.
    while eventually(|| driver.check()).await.address == address {
        commit_eventually(&driver, &repository, &enqueue([committed])).await;
        committed += 1;
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }
    cluster.join_again(used);
    // What it hears then is what the others did.
    let settings = settings(&[("etcd-endpoints", &address)]);
    let joined = eventually(|| EtcdDriver::connect(&settings)).await;
    let waiting = eventually(|| joined.load(&repository, Window::Whole)).await.waiting;
    assert_eq!(waiting.len(), usize::try_from(committed).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_indeterminate_and_a_refused_connection_is_not() {
    let mut server = Cluster::start(1);
    let proxy = Proxy::start(server.port(0)).unwrap();
    let driver = connect_through(&proxy).await;
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let before = driver.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    let mut tries = 0;
    let version = loop {
        proxy.cut_answers(1);
        let failed = driver.commit(&repository, before, &holder, &hold([1])).await.unwrap_err();
        tries += 1;
        assert_eq!((failed.kind(), proxy.answers_cut()), ("indeterminate", tries), "{failed}");
        let snapshot = whole(&driver, &repository).await;
        // What is cut may be no more than a word about the connection, sent before the server did anything.
        assert_eq!(snapshot.slots.len(), usize::from(snapshot.version != before), "{snapshot:?}");
        assert!(tries < 50, "no answer was ever lost after it was done");
        if snapshot.version != before {
            break snapshot.version;
        }
    };
    let direct = server.connect().await;
    let open = || direct.connections().map(|connections| connections.in_use);
    assert_eq!(open(), Some(1));
    server.kill(0);
    let failed = direct.commit(&repository, version, &holder, &enqueue([2])).await.unwrap_err();
    assert!(failed.kind() == "unavailable" && failed.to_string().contains("connection refused"), "{failed}");
    assert_eq!(open(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_outlives_an_outage_shorter_than_its_lease() {
    let mut server = Cluster::start(1);
    let settings = EtcdSettings { lease_ttl: Duration::from_secs(10), ..server.settings() };
    let driver = EtcdDriver::connect(&settings).await.unwrap();
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    // As when the answer was lost.
    driver.begin(&holder).await.unwrap();
    server.kill(0);
    let failed = driver.renew(&holder).await.unwrap_err();
    assert!(failed.kind() == "unavailable" && failed.to_string().contains("connection refused"), "{failed}");
    server.restart(0);
    assert_eq!(eventually(|| driver.renew(&holder)).await, Renewal::Renewed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_without_its_key_is_lost() {
    let server = Cluster::start(1);
    let driver = server.connect().await;
    let holder = Holder::new("watcher");
    driver.begin(&holder).await.unwrap();
    server.etcdctl(&["del", "--prefix", "/pac/concurrency/v2/holder/"]).unwrap();
    assert_eq!(driver.renew(&holder).await.unwrap(), Renewal::Lost);
}
