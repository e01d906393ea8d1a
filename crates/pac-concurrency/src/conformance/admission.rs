//! Commits: what they change, and when they change nothing.

use super::{Suite, assert_stored, enqueue, entries, entry, hold, load, release};
use crate::{Delta, DriverError, Version, Window};

pub(super) async fn an_unknown_repository_is_empty(suite: Suite) {
    let repository = suite.repository();
    let snapshot = suite.one().load(&repository, Window::First(10)).await.unwrap();
    assert_eq!(snapshot.version, Version::NONE);
    assert!(snapshot.slots.is_empty() && snapshot.waiting.is_empty() && snapshot.whole);
}

pub(super) async fn admits_and_releases(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=3), hold: entries(1..=1), ..Delta::default() };
    let first = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    assert_eq!(assert_stored(suite.other(), &repository, &[1], &[2, 3]).await, first);
    let delta = Delta { hold: entries(2..=2), ..release([1]) };
    let second = suite.other().commit(&repository, first, &holder, &delta).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(assert_stored(suite.one(), &repository, &[2], &[3]).await, second);
    let slots = load(suite.one(), &repository).await.slots;
    let slot = slots.values().next().unwrap();
    assert_eq!((&slot.holder, slot.lapsed), (&holder, false));
}

pub(super) async fn a_stale_version_changes_nothing(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let first = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    let second = suite.other().commit(&repository, first, &holder, &enqueue([2])).await.unwrap();
    for stale in [Version::NONE, first, Version::new(second.number() + 1)] {
        let delta = Delta { hold: entries(1..=1), enqueue: entries(7..=7), ..release([2]) };
        let outcome = suite.one().commit(&repository, stale, &holder, &delta).await;
        assert!(matches!(outcome, Err(DriverError::Conflict)), "{stale:?}: {outcome:?}");
    }
    assert_eq!(assert_stored(suite.one(), &repository, &[], &[1, 2]).await, second);
    let unknown = suite.repository();
    let outcome = suite.one().commit(&unknown, first, &holder, &enqueue([1])).await;
    assert!(matches!(outcome, Err(DriverError::Conflict)), "{outcome:?}");
    assert_eq!(assert_stored(suite.one(), &unknown, &[], &[]).await, Version::NONE);
}

pub(super) async fn every_part_of_a_delta_is_idempotent(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let mut version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1, 2, 3, 4])).await.unwrap();
    version = suite.one().commit(&repository, version, &holder, &hold([3, 4])).await.unwrap();
    let give_back = Delta { give_back: vec![entry(3).run], ..Delta::default() };
    for delta in [enqueue([1, 5]), hold([2]), release([4]), give_back] {
        version = suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
        let once = load(suite.other(), &repository).await;
        version = suite.other().commit(&repository, version, &holder, &delta).await.unwrap();
        let twice = load(suite.one(), &repository).await;
        assert_eq!((once.slots, once.waiting), (twice.slots, twice.waiting), "{delta:?}");
    }
    assert_stored(suite.one(), &repository, &[2], &[1, 3, 5]).await;
}

pub(super) async fn an_enqueue_never_takes_a_slot_away(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let version = suite.one().commit(&repository, Version::NONE, &holder, &hold([1])).await.unwrap();
    suite.other().commit(&repository, version, &holder, &enqueue([1, 2])).await.unwrap();
    assert_stored(suite.one(), &repository, &[1], &[2]).await;
}

pub(super) async fn a_slot_given_back_returns_to_its_place(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=3), hold: entries(2..=2), ..Delta::default() };
    let version = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let delta = Delta { give_back: vec![entry(2).run], hold: entries(3..=3), ..Delta::default() };
    suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    assert_stored(suite.other(), &repository, &[3], &[1, 2]).await;
}

pub(super) async fn one_delta_does_everything_at_once(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=6), hold: entries(1..=3), ..Delta::default() };
    let version = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let delta = Delta {
        release: vec![entry(1).run, entry(5).run],
        give_back: vec![entry(2).run],
        enqueue: entries(7..=8),
        hold: entries([4, 7, 9]),
    };
    suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    assert_stored(suite.other(), &repository, &[3, 4, 7, 9], &[2, 6, 8]).await;
}

pub(super) async fn a_large_delta_is_one_change(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=1000), hold: entries(1..=200), ..Delta::default() };
    let version = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let snapshot = load(suite.other(), &repository).await;
    assert_eq!((snapshot.slots.len(), snapshot.waiting_count, snapshot.version), (200, 800, version));
    suite.other().commit(&repository, version, &holder, &release(1..=1000)).await.unwrap();
    assert_stored(suite.one(), &repository, &[], &[]).await;
}
