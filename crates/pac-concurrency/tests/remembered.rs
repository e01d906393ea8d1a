//! What the manager remembers of a repository after its own commits is what the store would tell.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Snapshot, Window};
use pac_driver_mem::MemDriver;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

const ROUNDS: u64 = 200;
const COMMITS: usize = 40;
const RUNS: i64 = 12;

#[tokio::test]
async fn a_snapshot_moved_on_by_a_commit_is_what_would_be_loaded() {
    for seed in 0..ROUNDS {
        let mut random = StdRng::seed_from_u64(seed);
        // With a small window most of the queue is behind it.
        let window = *[1, 3, usize::MAX].choose(&mut random).unwrap();
        let (driver, holder) = (MemDriver::new(Duration::from_secs(60)), Holder::new("watcher"));
        driver.begin(&holder).await.unwrap();
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        let mut remembered = driver.load(&repository, Window::First(window)).await.unwrap();
        for _ in 0..COMMITS {
            let delta = some_delta(&mut random, window == usize::MAX);
            let version = driver.commit(&repository, remembered.version, &holder, &delta).await.unwrap();
            remembered.advance(version, &holder, &delta);
            remembered.shrink(window);
            let whole = driver.load(&repository, Window::Whole).await.unwrap();
            check(&remembered, &whole, &format!("seed {seed}, window {window}, after {delta:?}"));
        }
    }
}

/// Behind the window's end the remembered one knows nothing, and its window may have shrunk; before that it is right.
fn check(remembered: &Snapshot, whole: &Snapshot, when: &str) {
    assert_eq!((remembered.version, &remembered.slots), (whole.version, &whole.slots), "{when}");
    let head = whole.waiting.iter().take(remembered.waiting.len());
    assert!(remembered.waiting.iter().eq(head), "{when}: {:?} of {:?}", remembered.waiting, whole.waiting);
    if remembered.whole {
        assert_eq!(remembered.waiting, whole.waiting, "{when}");
        assert_eq!(remembered.waiting_count, whole.waiting_count, "{when}");
    }
}

/// A run has a place of its own. Only where all is known may it be named at another one, which it doesn't get: whoever is behind
/// the window comes from there with the place he is said to have.
fn some_delta(random: &mut StdRng, anywhere: bool) -> Delta {
    let mut delta = Delta::default();
    for number in 0..RUNS {
        let place = if anywhere && random.random_range(0..4) == 0 { random.random_range(0..RUNS) } else { number };
        let entry = Entry::new(run(number), OrderKey::alone(place));
        match random.random_range(0..12) {
            0 => delta.release.push(run(number)),
            1 => delta.give_back.push(run(number)),
            2 | 3 => delta.enqueue.push(entry),
            4 => delta.hold.push(entry),
            _ => {}
        }
    }
    delta
}

fn run(number: i64) -> RunKey {
    RunKey::new("ns", &format!("run-{number:02}"), "uid").unwrap()
}
