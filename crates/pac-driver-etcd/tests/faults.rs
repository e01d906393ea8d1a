//! Servers that die, freeze, forget their history or lose their answers, and keys that nobody of ours wrote.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::BoxStream;
use pac_concurrency::{
    Change, Delta, Driver, DriverError, Entry, Holder, OrderKey, Renewal, RepositoryKey, RunKey, Snapshot, Version,
    Window,
};
use pac_config::EtcdSettings;
use pac_devservers::proxy::{Passage, Proxy};
use pac_driver_etcd::EtcdDriver;

use crate::support::{Cluster, Race, settings};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

fn entry(number: i64) -> Entry {
    let run = RunKey::new("ns", &format!("run-{number}"), &format!("uid-{number}")).unwrap();
    Entry::new(run, OrderKey::alone(number))
}

fn enqueue(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { enqueue: numbers.into_iter().map(entry).collect(), ..Delta::default() }
}

fn hold(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { hold: numbers.into_iter().map(entry).collect(), ..Delta::default() }
}

async fn whole(driver: &EtcdDriver, repository: &RepositoryKey) -> Snapshot {
    driver.load(repository, Window::Whole).await.unwrap()
}

/// Through a network of the test's own.
async fn connect_through(proxy: &Proxy) -> EtcdDriver {
    let settings = settings(&[("etcd-endpoints", &format!("127.0.0.1:{}", proxy.port()))]);
    EtcdDriver::connect(&settings).await.unwrap()
}

/// Calls `call` until it succeeds.
async fn eventually<T, F: Future<Output = Result<T, DriverError>>>(mut call: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Commits `delta` on top of whatever is there, until it succeeds.
async fn commit_eventually(driver: &EtcdDriver, repository: &RepositoryKey, delta: &Delta) -> Version {
    let holder = Holder::new("watcher");
    let commit = || async {
        let version = driver.load(repository, Window::Whole).await?.version;
        driver.commit(repository, version, &holder, delta).await
    };
    eventually(commit).await
}

async fn next(changes: &mut BoxStream<'static, Change>) -> Change {
    tokio::time::timeout(PATIENCE, changes.next()).await.expect("nothing was heard").unwrap()
}

/// Waits until `repository` is named; whatever else is heard comes back.
async fn hear(changes: &mut BoxStream<'static, Change>, repository: &RepositoryKey) -> Vec<Change> {
    let mut before = Vec::new();
    loop {
        match next(changes).await {
            Change::Repository(named) if named == *repository => return before,
            other => before.push(other),
        }
    }
}

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
    let began = Instant::now();
    commit_eventually(&driver, &repository, &enqueue([1])).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_ne!(driver.check().await.unwrap().address, address);
    cluster.join_again(used);
    // What it hears then is what the others did.
    let settings = settings(&[("etcd-endpoints", &address)]);
    let joined = eventually(|| EtcdDriver::connect(&settings)).await;
    assert_eq!(eventually(|| joined.load(&repository, Window::Whole)).await.waiting.len(), 2);
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
    server.kill(0);
    let failed = direct.commit(&repository, version, &holder, &enqueue([2])).await.unwrap_err();
    assert!(failed.kind() == "unavailable" && failed.to_string().contains("connection refused"), "{failed}");
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

/// Slots and waiting entries a large delta makes.
const LARGE: (usize, usize) = (300, 700);

fn large() -> Delta {
    Delta { enqueue: (1..=1000).map(entry).collect(), hold: (1..=300).map(entry).collect(), ..Delta::default() }
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_goes_on_over_a_broken_connection() {
    let server = Cluster::start(1);
    let (proxy, writer) = (Proxy::start(server.port(0)).unwrap(), server.connect().await);
    let mut changes = connect_through(&proxy).await.changes();
    assert_eq!(next(&mut changes).await, Change::Resync, "what came before can't be known");
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
    assert_eq!(next(&mut changes).await, Change::Resync);
    let (repository, holder) = (repository(), Holder::new("watcher"));
    let version = writer.commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    assert_eq!(hear(&mut changes, &repository).await, []);
    proxy.set(Passage::Closed);
    let version = writer.commit(&repository, version, &holder, &enqueue([2])).await.unwrap();
    let version = writer.commit(&repository, version, &holder, &enqueue([3])).await.unwrap();
    server.kv().await.compact(version.number().cast_signed(), None).await.unwrap();
    proxy.set(Passage::Open);
    assert_eq!(next(&mut changes).await, Change::Resync);
    writer.commit(&repository, version, &holder, &enqueue([4])).await.unwrap();
    assert_eq!(hear(&mut changes, &repository).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_went_back_in_time_is_a_resync() {
    let mut server = Cluster::start(1);
    let (listener, writer) = (server.connect().await, server.connect().await);
    let mut changes = listener.changes();
    assert_eq!(next(&mut changes).await, Change::Resync);
    let repository = repository();
    for number in 1..=3 {
        commit_eventually(&writer, &repository, &enqueue([number])).await;
        hear(&mut changes, &repository).await;
    }
    server.start_over();
    assert_eq!(next(&mut changes).await, Change::Resync);
    commit_eventually(&writer, &repository, &enqueue([1])).await;
    assert_eq!(hear(&mut changes, &repository).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_changes_are_not_told() {
    let server = Cluster::start(1);
    let (driver, other) = (server.connect().await, server.connect().await);
    let mut changes = driver.changes();
    assert_eq!(next(&mut changes).await, Change::Resync);
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
    assert_eq!(next(&mut changes).await, Change::Resync);
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
