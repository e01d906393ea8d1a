//! From one store to another while others do the same, or already work on the new one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Window, relocate};
use pac_driver_mem::MemDriver;

const REPOSITORIES: usize = 300;

fn store() -> Arc<MemDriver> {
    Arc::new(MemDriver::new(Duration::from_secs(60)))
}

fn entry(name: &str) -> Entry {
    Entry::new(RunKey::new("ns", name, name).unwrap(), OrderKey::alone(1))
}

fn repository(number: usize) -> RepositoryKey {
    RepositoryKey::new("ns", &format!("repo-{number}")).unwrap()
}

/// A slot and two that wait, in every repository.
async fn full() -> Arc<MemDriver> {
    let from = store();
    for number in 0..REPOSITORIES {
        let delta = Delta { hold: vec![entry("a")], enqueue: vec![entry("b"), entry("c")], ..Delta::default() };
        let key = repository(number);
        let version = from.load(&key, Window::First(0)).await.unwrap().version;
        from.commit(&key, version, &Holder::new("watcher"), &delta).await.unwrap();
    }
    from
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_watchers_may_move_the_same_at_once() {
    let (from, to) = (full().await, store());
    let moves = (0..8).map(|_| {
        let (from, to) = (Arc::clone(&from), Arc::clone(&to));
        tokio::spawn(async move { relocate(&Arc::clone(&from).into(), &Arc::clone(&to).into()).await })
    });
    for moved in moves.collect::<Vec<_>>() {
        moved.await.unwrap().unwrap();
    }
    for number in 0..REPOSITORIES {
        let moved = to.load(&repository(number), Window::Whole).await.unwrap();
        assert_eq!((moved.slots.len(), moved.waiting.len()), (1, 2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_works_on_the_new_store_already_disturbs_no_move() {
    let (from, to, over) = (full().await, store(), Arc::new(AtomicBool::new(false)));
    let at_work = {
        let (to, over) = (Arc::clone(&to), Arc::clone(&over));
        tokio::spawn(async move {
            // The runs with a slot are done: it is freed as soon as it is there.
            let holder = Holder::new("quick");
            while !over.load(Ordering::Relaxed) {
                for key in to.repositories().await.unwrap().keys {
                    let there = to.load(&key, Window::First(0)).await.unwrap();
                    let release: Vec<RunKey> = there.slots.keys().cloned().collect();
                    if !release.is_empty() {
                        let freed = Delta { release, ..Delta::default() };
                        let _ = to.commit(&key, there.version, &holder, &freed).await;
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for _ in 0..10 {
        relocate(&Arc::clone(&from).into(), &Arc::clone(&to).into()).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    at_work.await.unwrap();
}

#[tokio::test]
async fn a_move_that_broke_off_is_made_again() {
    let (from, to) = (full().await, store());
    // As after a crash in the middle: some are there, and one of them went on there meanwhile.
    let (some, holder) = (repository(7), Holder::new("relocation"));
    let delta = Delta { hold: vec![entry("a"), entry("b")], enqueue: vec![entry("c")], ..Delta::default() };
    let version = to.load(&some, Window::First(0)).await.unwrap().version;
    to.commit(&some, version, &holder, &delta).await.unwrap();
    let moved = relocate(&Arc::clone(&from).into(), &Arc::clone(&to).into()).await.unwrap();
    assert_eq!(moved.repositories, REPOSITORIES);
    let there = to.load(&some, Window::Whole).await.unwrap();
    assert_eq!((there.slots.len(), there.waiting.len()), (2, 1), "what is there stays as it is");
    assert_eq!(to.load(&repository(8), Window::Whole).await.unwrap().waiting.len(), 2);
}
