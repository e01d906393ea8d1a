//! Deltas, and waiting for what is to come.

use std::time::{Duration, Instant};

use pac_concurrency::{
    Delta, Driver, DriverError, Entry, Holder, OrderKey, RepositoryKey, RunKey, Snapshot, Version, Window,
};
use pac_devservers::proxy::Proxy;
use pac_driver_etcd::EtcdDriver;

use super::settings;

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn repository() -> RepositoryKey {
    "ns/repo".parse().unwrap()
}

pub(crate) fn entry(number: i64) -> Entry {
    let run = RunKey::new("ns", &format!("run-{number}"), &format!("uid-{number}")).unwrap();
    Entry::new(run, OrderKey::alone(number))
}

pub(crate) fn enqueue(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { enqueue: numbers.into_iter().map(entry).collect(), ..Delta::default() }
}

pub(crate) fn hold(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { hold: numbers.into_iter().map(entry).collect(), ..Delta::default() }
}

pub(crate) async fn whole(driver: &EtcdDriver, repository: &RepositoryKey) -> Snapshot {
    driver.load(repository, Window::Whole).await.unwrap()
}

/// Through a network of the test's own.
pub(crate) async fn connect_through(proxy: &Proxy) -> EtcdDriver {
    let settings = settings(&[("etcd-endpoints", &format!("127.0.0.1:{}", proxy.port()))]);
    EtcdDriver::connect(&settings).await.unwrap()
}

/// Calls `call` until it succeeds.
pub(crate) async fn eventually<T, F: Future<Output = Result<T, DriverError>>>(mut call: impl FnMut() -> F) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        // Nothing tells when the store is back but asking it.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Commits `delta` on top of whatever is there, until it succeeds.
pub(crate) async fn commit_eventually(driver: &EtcdDriver, repository: &RepositoryKey, delta: &Delta) -> Version {
    let holder = Holder::new("watcher");
    let commit = || async {
        let version = driver.load(repository, Window::Whole).await?.version;
        driver.commit(repository, version, &holder, delta).await
    };
    eventually(commit).await
}

/// Slots and waiting entries a large delta makes.
pub(crate) const LARGE: (usize, usize) = (300, 700);

pub(crate) fn large() -> Delta {
    Delta { enqueue: (1..=1000).map(entry).collect(), hold: (1..=300).map(entry).collect(), ..Delta::default() }
}
