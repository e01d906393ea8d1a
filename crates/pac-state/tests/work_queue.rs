//! The queue of work, call by call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use futures::FutureExt;
use pac_concurrency::{RepositoryKey, Scope};
use pac_state::work_queue::{TURNS, WorkQueue};
use tokio::time::Instant;

fn key(name: &str) -> RepositoryKey {
    RepositoryKey::new("ns", name).unwrap()
}

#[tokio::test]
async fn many_events_are_one_look() {
    let queue = WorkQueue::default();
    queue.add(key("a"), Scope::Head);
    queue.add(key("a"), Scope::Whole);
    queue.add(key("a"), Scope::Head);
    assert_eq!(queue.next().await, (key("a"), Scope::Whole));
    assert!(queue.next().now_or_never().is_none());
}

#[tokio::test]
async fn events_during_a_look_are_one_further_look() {
    let queue = WorkQueue::default();
    queue.add(key("a"), Scope::Head);
    queue.next().await;
    queue.add(key("a"), Scope::Head);
    queue.add(key("a"), Scope::Head);
    assert!(queue.next().now_or_never().is_none(), "two looks at once");
    queue.done(&key("a"));
    assert_eq!(queue.next().await.0, key("a"));
    queue.done(&key("a"));
    assert!(queue.next().now_or_never().is_none());
}

#[tokio::test]
async fn one_slow_repository_holds_up_no_other() {
    let queue = WorkQueue::default();
    queue.add(key("slow"), Scope::Head);
    queue.next().await;
    queue.add(key("slow"), Scope::Head);
    queue.add(key("other"), Scope::Head);
    assert_eq!(queue.next().await.0, key("other"));
}

#[tokio::test]
async fn where_something_happened_comes_before_routine() {
    let queue = WorkQueue::default();
    for name in ["a", "b", "c"] {
        queue.add(key(name), Scope::Whole);
    }
    queue.add(key("d"), Scope::Head);
    queue.add(key("b"), Scope::Head);
    let mut looks = Vec::new();
    while let Some(look) = queue.next().now_or_never() {
        looks.push((look.0.name().to_owned(), look.1));
    }
    let expected = [("b", Scope::Whole), ("d", Scope::Head), ("a", Scope::Whole), ("c", Scope::Whole)];
    assert_eq!(looks, expected.map(|(name, scope)| (name.to_owned(), scope)));
}

#[tokio::test]
async fn routine_gets_its_turns_however_much_happens() {
    let queue = WorkQueue::default();
    queue.add(key("routine"), Scope::Whole);
    for number in 0..TURNS {
        queue.add(key(&format!("event-{number}")), Scope::Head);
        let (found, _) = queue.next().await;
        if found == key("routine") {
            return;
        }
        queue.done(&found);
    }
    panic!("{TURNS} looks, and none of them routine");
}

#[tokio::test]
async fn what_is_asked_for_during_a_look_keeps_its_haste() {
    let queue = WorkQueue::default();
    queue.add(key("a"), Scope::Head);
    queue.next().await;
    queue.add(key("b"), Scope::Whole);
    queue.add(key("a"), Scope::Whole);
    queue.add(key("a"), Scope::Head);
    queue.done(&key("a"));
    assert_eq!(queue.next().await, (key("a"), Scope::Whole), "something happened, and all of it is to be looked at");
    assert_eq!(queue.next().await, (key("b"), Scope::Whole));
}

#[tokio::test(start_paused = true)]
async fn the_earliest_time_counts() {
    let queue = WorkQueue::default();
    let start = Instant::now();
    queue.add_later(key("a"), Scope::Whole, start + Duration::from_secs(9));
    queue.add_later(key("a"), Scope::Head, start + Duration::from_secs(2));
    queue.add_later(key("a"), Scope::Head, start + Duration::from_secs(5));
    assert_eq!(queue.next().await, (key("a"), Scope::Whole));
    assert_eq!(start.elapsed().as_secs(), 2);
    queue.done(&key("a"));
    assert!(queue.next().now_or_never().is_none());
    queue.add_later(key("b"), Scope::Whole, start + Duration::from_secs(9));
    queue.add_later(key("b"), Scope::Head, start + Duration::from_secs(5));
    assert_eq!(queue.next().await, (key("b"), Scope::Whole), "all that was asked for");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_waits_is_woken() {
    let queue = WorkQueue::default();
    let added = async { queue.add(key("a"), Scope::Head) };
    let next = tokio::time::timeout(Duration::from_secs(1), queue.next());
    let (found, ()) = tokio::join!(next, added);
    assert_eq!(found.unwrap().0, key("a"));
}

#[tokio::test]
async fn what_is_asked_for_counts_until_it_is_taken_or_forgotten() {
    let queue = WorkQueue::default();
    assert_eq!(queue.depth(), 0);
    for name in ["a", "b", "c"] {
        queue.add(key(name), Scope::Head);
    }
    assert_eq!(queue.depth(), 3);
    queue.next().await;
    assert_eq!(queue.depth(), 2);
    queue.clear();
    assert_eq!(queue.depth(), 0);
    assert!(queue.next().now_or_never().is_none());
}
