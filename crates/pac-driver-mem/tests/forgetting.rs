//! A repository forgotten while others commit to it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::time::Duration;

use pac_concurrency::{Delta, Driver, DriverError, Holder, RepositoryKey, Version, Window};
use pac_driver_mem::MemDriver;

const WORKERS: usize = 4;
const TURNS: usize = 5_000;

/// Which version a worker's change was made to, and which came of it: none if it forgot the repository.
type Made = (Version, Option<Version>);

/// Each state is changed once, or it is the last: a commit to what is just being removed would be lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_commit_is_lost() {
    let driver = MemDriver::new(Duration::from_secs(60));
    let workers: Vec<_> = (0..WORKERS).map(|number| tokio::spawn(work(driver.peer(), number))).collect();
    let mut made = Vec::new();
    for worker in workers {
        made.extend(worker.await.unwrap());
    }
    let mut changed: HashMap<Version, usize> = HashMap::new();
    for (expected, _) in made.iter().filter(|(expected, _)| *expected != Version::NONE) {
        *changed.entry(*expected).or_default() += 1;
    }
    let last = driver.load(&repository(), Window::First(1)).await.unwrap().version;
    for version in made.iter().filter_map(|(_, version)| *version) {
        let times = changed.remove(&version).unwrap_or_default();
        assert_eq!(times, usize::from(version != last), "of {version:?}, where {last:?} is the last");
    }
    assert!(made.iter().any(|(_, version)| version.is_none()), "none was forgotten");
}

async fn work(driver: MemDriver, number: usize) -> Vec<Made> {
    let (holder, repository, mut made) = (Holder::new("worker"), repository(), Vec::new());
    for turn in 0..TURNS {
        let expected = driver.load(&repository, Window::First(1)).await.unwrap().version;
        let outcome = if (turn + number).is_multiple_of(2) {
            driver.commit(&repository, expected, &holder, &Delta::default()).await.map(Some)
        } else {
            driver.forget(&repository, expected).await.map(|()| None)
        };
        match outcome {
            Ok(version) => made.push((expected, version)),
            Err(DriverError::Conflict) => {}
            Err(error) => unreachable!("{error}"),
        }
    }
    made
}

fn repository() -> RepositoryKey {
    RepositoryKey::new("ns", "repo").unwrap()
}
