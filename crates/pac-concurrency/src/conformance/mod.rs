//! What every driver must prove, against its real server.
//!
//! A driver's crate implements [`Harness`] and calls [`exercise`] once. Cases are written against the contract in
//! [`crate::driver`], never against a driver's name: what only some stores can do is asked of
//! [`Capabilities`](crate::Capabilities). Each case works on repositories of its own, so that all of them share one
//! server; outcomes and stored state are asserted, and most cases are run over two drivers that share the store.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a suite of tests: failing loudly is its purpose"
)]

mod admission;
mod leases;
mod limit;
mod notify;
mod order;
mod past;
mod recovery;
mod strangers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;

use crate::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Snapshot, Version, Window};

/// How the suite gets at one store.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Another driver on the same store, as another watcher would have it: its own connections, its own identity. Its
    /// leases should last a few seconds at most, so that the suite can see them lapse.
    async fn driver(&self) -> Arc<dyn Driver>;
}

type Case = fn(Suite) -> BoxFuture<'static, ()>;

const CASES: &[(&str, Case)] = &[
    ("an_unknown_repository_is_empty", |suite| admission::an_unknown_repository_is_empty(suite).boxed()),
    ("admits_and_releases", |suite| admission::admits_and_releases(suite).boxed()),
    ("a_stale_version_changes_nothing", |suite| admission::a_stale_version_changes_nothing(suite).boxed()),
    ("every_part_of_a_delta_is_idempotent", |suite| admission::every_part_of_a_delta_is_idempotent(suite).boxed()),
    ("an_enqueue_never_takes_a_slot_away", |suite| admission::an_enqueue_never_takes_a_slot_away(suite).boxed()),
    ("a_slot_given_back_returns_to_its_place", |suite| {
        admission::a_slot_given_back_returns_to_its_place(suite).boxed()
    }),
    ("one_delta_does_everything_at_once", |suite| admission::one_delta_does_everything_at_once(suite).boxed()),
    ("a_large_delta_is_one_change", |suite| admission::a_large_delta_is_one_change(suite).boxed()),
    ("the_queue_is_in_order", |suite| order::the_queue_is_in_order(suite).boxed()),
    ("a_window_shows_the_head_and_counts_all", |suite| order::a_window_shows_the_head_and_counts_all(suite).boxed()),
    ("a_place_once_given_stays", |suite| order::a_place_once_given_stays(suite).boxed()),
    ("a_run_released_and_enqueued_in_one_change_gets_its_new_place", |suite| {
        order::a_run_released_and_enqueued_in_one_change_gets_its_new_place(suite).boxed()
    }),
    ("a_lease_is_renewed", |suite| leases::a_lease_is_renewed(suite).boxed()),
    ("a_lapsed_lease_frees_no_slot", |suite| leases::a_lapsed_lease_frees_no_slot(suite).boxed()),
    ("an_ended_term_stays_ended", |suite| leases::an_ended_term_stays_ended(suite).boxed()),
    ("a_claim_changes_the_holder_alone", |suite| leases::a_claim_changes_the_holder_alone(suite).boxed()),
    ("one_lease_stands_behind_all_slots_of_a_holder", |suite| leases::one_lease_for_all_slots(suite).boxed()),
    ("racing_managers_stay_within_the_limit", |suite| limit::racing_managers_stay_within_the_limit(suite).boxed()),
    ("racing_commits_have_one_winner", |suite| limit::racing_commits_have_one_winner(suite).boxed()),
    ("others_hear_of_changes", |suite| notify::others_hear_of_changes(suite).boxed()),
    ("a_forgotten_repository_is_gone_for_good", |suite| {
        recovery::a_forgotten_repository_is_gone_for_good(suite).boxed()
    }),
    ("a_past_is_kept_beside_all_that_is_decided", |suite| {
        past::a_past_is_kept_beside_all_that_is_decided(suite).boxed()
    }),
    ("repositories_lists_each_once", |suite| recovery::repositories_lists_each_once(suite).boxed()),
    ("another_driver_sees_the_same_state", |suite| recovery::another_driver_sees_the_same_state(suite).boxed()),
    ("names_that_begin_alike_are_kept_apart", |suite| strangers::names_that_begin_alike_are_kept_apart(suite).boxed()),
    ("names_of_maximal_length_fit", |suite| strangers::names_of_maximal_length_fit(suite).boxed()),
    ("places_at_the_edge_of_time_sort", |suite| strangers::places_at_the_edge_of_time_sort(suite).boxed()),
    ("a_run_recreated_under_its_name_is_another", |suite| strangers::a_recreated_run_is_another(suite).boxed()),
];

/// Runs every case with `drivers` drivers on the store (two at least); panics at the end, naming those that failed.
pub async fn exercise(harness: &dyn Harness, drivers: usize) {
    let mut on_store = Vec::new();
    for _ in 0..drivers.max(2) {
        on_store.push(harness.driver().await);
    }
    let mut failed = Vec::new();
    for (name, case) in CASES {
        let suite = Suite { case: name, drivers: on_store.clone(), counter: Arc::default() };
        let outcome = AssertUnwindSafe(case(suite)).catch_unwind().await;
        println!("conformance {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_err() {
            failed.push(*name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), CASES.len());
}

/// What a case works with.
#[derive(Clone)]
struct Suite {
    case: &'static str,
    drivers: Vec<Arc<dyn Driver>>,
    counter: Arc<AtomicU32>,
}

// === impl Suite ===

impl Suite {
    /// A repository no other case knows.
    fn repository(&self) -> RepositoryKey {
        let number = self.counter.fetch_add(1, Ordering::Relaxed);
        RepositoryKey::new("conformance", &format!("{}-{number}", self.case.replace('_', "-"))).unwrap()
    }

    fn one(&self) -> &dyn Driver {
        &*self.drivers[0]
    }

    fn other(&self) -> &dyn Driver {
        &*self.drivers[1]
    }

    /// A holder whose term has begun.
    async fn holder(&self) -> Holder {
        let holder = Holder::new(&self.case.replace('_', "-"));
        self.one().begin(&holder).await.unwrap();
        holder
    }
}

fn entry(number: i64) -> Entry {
    let run = RunKey::new("conformance", &format!("run-{number}"), &format!("uid-{number}")).unwrap();
    Entry::new(run, OrderKey::alone(number))
}

fn entries(numbers: impl IntoIterator<Item = i64>) -> Vec<Entry> {
    numbers.into_iter().map(entry).collect()
}

fn enqueue(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { enqueue: entries(numbers), ..Delta::default() }
}

fn hold(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { hold: entries(numbers), ..Delta::default() }
}

fn release(numbers: impl IntoIterator<Item = i64>) -> Delta {
    Delta { release: entries(numbers).into_iter().map(|entry| entry.run).collect(), ..Delta::default() }
}

async fn load(driver: &dyn Driver, repository: &RepositoryKey) -> Snapshot {
    let snapshot = driver.load(repository, Window::Whole).await.unwrap();
    assert!(snapshot.whole && snapshot.waiting_count == snapshot.waiting.len(), "{snapshot:?}");
    assert_eq!(snapshot.corrupt, []);
    snapshot
}

/// Asserts what is stored, slots and queue, and returns the version.
async fn assert_stored(driver: &dyn Driver, repository: &RepositoryKey, slots: &[i64], waiting: &[i64]) -> Version {
    let snapshot = load(driver, repository).await;
    let mut held: Vec<_> = snapshot.slots.values().map(|slot| slot.entry.clone()).collect();
    held.sort();
    assert_eq!(held, entries(slots.iter().copied()), "slots");
    assert_eq!(snapshot.waiting.into_iter().collect::<Vec<_>>(), entries(waiting.iter().copied()), "queue");
    snapshot.version
}

/// Waits until `condition` holds, asking again and again, for at most `deadline`.
async fn eventually<F: Future<Output = bool>>(deadline: Duration, mut condition: impl FnMut() -> F) -> bool {
    let until = tokio::time::Instant::now() + deadline;
    while !condition().await {
        if tokio::time::Instant::now() > until {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}
