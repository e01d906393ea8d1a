//! Commits whose future is dropped before it ends, as when a task is stopped or a deadline passes.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures::future::poll_fn;

use super::{Suite, enqueue, entries, entry, load};
use crate::{Delta, DriverError, Holder, Snapshot, Version, Window};

/// After so many polls no further point is looked for at which a commit may be dropped.
const POLLS: usize = 60;
/// The run that is enqueued after each dropped commit.
const LATER: i64 = 5_000;

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commit {
    /// It ended before it was to be dropped.
    Ended,
    /// It was dropped, and is stored.
    Happened,
    /// It was dropped, and nothing of it is stored or will be.
    DidNotHappen,
}

pub(super) async fn a_commit_that_is_dropped_happens_whole_or_not_at_all(suite: Suite) {
    drop_everywhere(suite, &[4]).await;
}

/// A store whose transactions are small makes such a commit in several.
pub(super) async fn a_large_commit_that_is_dropped_happens_whole_or_not_at_all(suite: Suite) {
    drop_everywhere(suite, &(4..=600).collect::<Vec<_>>()).await;
}

/// Drops commits that enqueue `newcomers`, each one poll later than the one before, until one ends before it is dropped.
async fn drop_everywhere(suite: Suite, newcomers: &[i64]) {
    let holder = suite.holder().await;
    let mut all = Vec::new();
    for polls in 0..POLLS {
        // Some are dropped at once, and some when the answer may be there, unread.
        for linger in [Duration::ZERO, Duration::from_millis(5)] {
            all.push(drop_one(&suite, &holder, newcomers, polls, linger).await);
        }
        if all.ends_with(&[Commit::Ended; 2]) {
            break;
        }
    }
    let count = |of| all.iter().filter(|commit| **commit == of).count();
    let (happened, did_not) = (count(Commit::Happened), count(Commit::DidNotHappen));
    println!("of {} dropped commits {happened} happened and {did_not} didn't", happened + did_not);
    assert!(did_not >= 2, "one that was never polled happened");
}

async fn drop_one(suite: &Suite, holder: &Holder, newcomers: &[i64], polls: usize, linger: Duration) -> Commit {
    let (repository, (one, other)) = (suite.repository(), (suite.one(), suite.other()));
    let delta = Delta { enqueue: entries(1..=3), hold: entries([1]), ..Delta::default() };
    let before = one.commit(&repository, Version::NONE, holder, &delta).await.unwrap();
    let enqueued = entries(newcomers.iter().copied());
    let delta = Delta { release: vec![entry(1).run], enqueue: enqueued, hold: entries([2]), ..Delta::default() };
    let states = [(vec![1], vec![2, 3]), (vec![2], [&[3], newcomers].concat())];

    let outcome = dropped_after(polls, linger, one.commit(&repository, before, holder, &delta)).await;
    // It may be for whoever loads to complete what is half done; a load that is dropped, too, is no harm.
    drop(dropped_after(polls, linger, one.load(&repository, Window::Whole)).await);
    // As long as no other commit was made to the same version, the dropped one may still happen.
    let (happened, version) = loop {
        let seen = load(other, &repository).await;
        let happened = seen.version != before;
        assert_eq!(stored(&seen), states[usize::from(happened)], "after {polls} polls");
        match one.commit(&repository, seen.version, holder, &enqueue([LATER])).await {
            Ok(version) => break (happened, version),
            Err(DriverError::Conflict) if !happened => {}
            Err(error) => panic!("after {polls} polls the driver is of no use: {error}"),
        }
    };
    let seen = load(other, &repository).await;
    let (slots, waiting) = &states[usize::from(happened)];
    assert_eq!(stored(&seen), (slots.clone(), [&waiting[..], &[LATER]].concat()), "after {polls} polls and one more");
    assert_eq!(seen.version, version, "after {polls} polls and one more");
    match outcome {
        None if happened => Commit::Happened,
        None => Commit::DidNotHappen,
        Some(ended) => {
            ended.unwrap();
            assert!(happened, "it was said to be done");
            Commit::Ended
        }
    }
}

/// The numbers of the runs with a slot, and of those that wait, in order.
fn stored(snapshot: &Snapshot) -> (Vec<i64>, Vec<i64>) {
    let number = |entry: &crate::Entry| entry.order.created;
    (snapshot.slots.values().map(|slot| number(&slot.entry)).collect(), snapshot.waiting.iter().map(number).collect())
}

/// Polls `call` until it ends or was polled so many times; then lingers, and drops it. What it came to if it ended.
async fn dropped_after<T>(polls: usize, linger: Duration, call: impl Future<Output = T>) -> Option<T> {
    let (mut call, mut left) = (pin!(call), polls);
    let outcome = poll_fn(|cx| {
        let Some(still_left) = left.checked_sub(1) else { return Poll::Ready(None) };
        left = still_left;
        match call.as_mut().poll(cx) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            // It is dropped right there, before it wakes.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    });
    let outcome = outcome.await;
    if outcome.is_none() {
        tokio::time::sleep(linger).await;
    }
    outcome
}
