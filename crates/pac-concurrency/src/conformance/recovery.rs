//! State that outlives its driver, and state that is gone.

use super::{Suite, assert_stored, enqueue, entries, hold, load};
use crate::{Delta, DriverError, Version};

pub(super) async fn a_forgotten_repository_is_gone_for_good(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=9), hold: entries(1..=2), ..Delta::default() };
    let before = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let outcome = suite.other().forget(&repository, Version::new(before.number() + 1)).await;
    assert!(matches!(outcome, Err(DriverError::Conflict)), "{outcome:?}");
    assert_stored(suite.other(), &repository, &[1, 2], &[3, 4, 5, 6, 7, 8, 9]).await;
    suite.other().forget(&repository, before).await.unwrap();
    assert_eq!(assert_stored(suite.one(), &repository, &[], &[]).await, Version::NONE);
    assert!(!suite.one().repositories().await.unwrap().keys.contains(&repository));
    // A commit planned before it was forgotten must not take effect after, not even once it is known again.
    let outcome = suite.one().commit(&repository, before, &holder, &hold([1])).await;
    assert!(matches!(outcome, Err(DriverError::Conflict)), "{outcome:?}");
    let after = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([5])).await.unwrap();
    assert_ne!(after, before, "a version came back");
    let outcome = suite.one().commit(&repository, before, &holder, &hold([1])).await;
    assert!(matches!(outcome, Err(DriverError::Conflict)), "{outcome:?}");
    assert_stored(suite.other(), &repository, &[], &[5]).await;
}

pub(super) async fn repositories_lists_each_once(suite: Suite) {
    let holder = suite.holder().await;
    let mine: Vec<_> = (0..3).map(|_| suite.repository()).collect();
    for repository in &mine {
        let delta = Delta { enqueue: entries(1..=4), hold: entries(1..=2), ..Delta::default() };
        suite.one().commit(repository, Version::NONE, &holder, &delta).await.unwrap();
    }
    let listed = suite.other().repositories().await.unwrap();
    assert_eq!(listed.corrupt, []);
    for repository in &mine {
        assert_eq!(listed.keys.iter().filter(|key| *key == repository).count(), 1);
    }
}

pub(super) async fn another_driver_sees_the_same_state(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let delta = Delta { enqueue: entries(1..=30), hold: entries([1, 2, 3]), ..Delta::default() };
    suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let expected = load(suite.one(), &repository).await;
    for driver in &suite.drivers {
        assert_eq!(load(&**driver, &repository).await, expected);
    }
}
