//! Names and places that a store may stumble over.

use super::{Suite, assert_stored, enqueue, entry, load};
use crate::{Delta, Entry, OrderKey, RepositoryKey, RunKey, Version, Window};

pub(super) async fn names_that_begin_alike_are_kept_apart(suite: Suite) {
    let holder = suite.holder().await;
    let keys: Vec<RepositoryKey> =
        ["alike/repo", "alike/repo-2", "alike/repo.2", "alike/rep", "alike-2/repo", "alike/run-1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
    let mut versions = Vec::new();
    for (number, key) in (1..).zip(&keys) {
        versions.push(suite.one().commit(key, Version::NONE, &holder, &enqueue([number])).await.unwrap());
    }
    suite.one().forget(&keys[0], versions[0]).await.unwrap();
    for (number, key) in (1..).zip(&keys).skip(1) {
        assert_stored(suite.other(), key, &[], &[number]).await;
    }
    assert_stored(suite.other(), &keys[0], &[], &[]).await;
}

pub(super) async fn names_of_maximal_length_fit(suite: Suite) {
    let holder = suite.holder().await;
    let namespace = "n".repeat(63);
    let repository = RepositoryKey::new(&namespace, &"r".repeat(253)).unwrap();
    let run = |name: &str| RunKey::new(&namespace, name, &"f".repeat(36)).unwrap();
    let entries = [("p", 1), ("q", 2)].map(|(c, at)| Entry::new(run(&c.repeat(253)), OrderKey::alone(at)));
    let delta = Delta { enqueue: entries.to_vec(), hold: vec![entries[0].clone()], ..Delta::default() };
    suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let snapshot = load(suite.other(), &repository).await;
    assert_eq!(snapshot.slots[&entries[0].run].entry, entries[0]);
    assert_eq!(snapshot.waiting.into_iter().collect::<Vec<_>>(), entries[1..]);
}

pub(super) async fn places_at_the_edge_of_time_sort(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let order = |event_created, position, created| OrderKey { event_created, position, created };
    // Before 1970 and beyond any calendar: never written by an API server, and still no reason to lose anyone.
    let sorted: Vec<Entry> = [
        order(i64::MIN, 0, 0),
        order(-5, 0, -5),
        order(-5, 3, -9),
        order(0, 0, 0),
        order(1, 0, i64::MIN),
        order(1, 0, i64::MAX),
        order(1, u32::MAX, 0),
        order(i64::MAX, u32::MAX, i64::MAX),
    ]
    .into_iter()
    .map(|order| Entry::new(entry(7).run, order))
    .enumerate()
    .map(|(number, place)| Entry::new(entry(number as i64).run, place.order))
    .collect();
    let delta = Delta { enqueue: sorted.iter().rev().cloned().collect(), ..Delta::default() };
    suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let head = suite.other().load(&repository, Window::First(3)).await.unwrap();
    assert_eq!(head.waiting.into_iter().collect::<Vec<_>>(), sorted[..3]);
    assert_eq!(load(suite.other(), &repository).await.waiting.into_iter().collect::<Vec<_>>(), sorted);
}

pub(super) async fn a_run_recreated_under_its_name_is_another(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let run = |uid| Entry::new(RunKey::new("conformance", "again", uid).unwrap(), OrderKey::alone(1));
    let delta = Delta { enqueue: vec![run("new")], hold: vec![run("old")], ..Delta::default() };
    let version = suite.one().commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    let snapshot = load(suite.other(), &repository).await;
    assert!(snapshot.slots.contains_key(&run("old").run) && snapshot.waiting.contains(&run("new")));
    let delta = Delta { release: vec![run("old").run], ..Delta::default() };
    suite.one().commit(&repository, version, &holder, &delta).await.unwrap();
    let snapshot = load(suite.other(), &repository).await;
    assert!(snapshot.slots.is_empty() && snapshot.waiting.contains(&run("new")));
}
