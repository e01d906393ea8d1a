//! The order of a queue, and windows on it.

use super::{Suite, assert_stored, enqueue, entries, entry, load};
use crate::{Delta, Entry, OrderKey, RunKey, Version, Window};

fn at(event_created: i64, position: u32, created: i64, name: &str, uid: &str) -> Entry {
    Entry::new(RunKey::new("conformance", name, uid).unwrap(), OrderKey { event_created, position, created })
}

pub(super) async fn the_queue_is_in_order(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let sorted = vec![
        at(9, 0, 50, "z", "1"),
        at(10, 0, 20, "y", "1"),
        at(10, 2, 11, "x", "1"),
        at(10, 10, 10, "w", "1"),
        at(100, 0, 100, "a", "1"),
        at(100, 0, 100, "a-b", "1"),
        at(100, 0, 100, "a.b", "1"),
        at(100, 0, 100, "b", "1"),
        at(100, 0, 100, "b", "2"),
        at(100, 0, 101, "a", "3"),
    ];
    let mut version = Version::NONE;
    for number in [3, 9, 0, 5, 7, 1, 8, 2, 6, 4] {
        let delta = Delta { enqueue: vec![sorted[number].clone()], ..Delta::default() };
        version = suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    }
    for size in [1, 4, 10] {
        let snapshot = suite.other().load(&repository, Window::First(size)).await.unwrap();
        assert_eq!(snapshot.waiting.into_iter().collect::<Vec<_>>(), sorted[..size]);
    }
}

pub(super) async fn a_window_shows_the_head_and_counts_all(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    suite.one().commit(&repository, Version::NONE, &holder, &enqueue(1..=10)).await.unwrap();
    for (size, whole) in [(0, false), (1, false), (9, false), (10, true), (11, true)] {
        let snapshot = suite.other().load(&repository, Window::First(size)).await.unwrap();
        assert_eq!(snapshot.waiting.into_iter().collect::<Vec<_>>(), entries(1..=10.min(size as i64)));
        assert_eq!((snapshot.waiting_count, snapshot.whole), (10, whole), "window of {size}");
    }
}

pub(super) async fn a_place_once_given_stays(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let mut version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1, 2])).await.unwrap();
    let elsewhere = Entry::new(entry(2).run, OrderKey::alone(0));
    let delta = Delta { enqueue: vec![elsewhere.clone()], ..Delta::default() };
    version = suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    assert_eq!(assert_stored(suite.other(), &repository, &[], &[1, 2]).await, version);
    // Nor does holding a run under another place change the place it had, should it be given back.
    let delta = Delta { hold: vec![elsewhere], ..Delta::default() };
    version = suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    assert_eq!(load(suite.other(), &repository).await.slots[&entry(2).run].entry, entry(2));
    let delta = Delta { give_back: vec![entry(2).run], ..Delta::default() };
    suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    assert_stored(suite.other(), &repository, &[], &[1, 2]).await;
}

pub(super) async fn a_run_released_and_enqueued_in_one_change_gets_its_new_place(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1, 2, 3])).await.unwrap();
    let elsewhere = Entry::new(entry(1).run, OrderKey::alone(9));
    let delta = Delta { release: vec![entry(1).run], enqueue: vec![elsewhere.clone()], ..Delta::default() };
    suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    let snapshot = load(suite.other(), &repository).await;
    assert_eq!(snapshot.waiting.into_iter().collect::<Vec<_>>(), [entry(2), entry(3), elsewhere]);
    assert_eq!(snapshot.waiting_count, 3);
}
