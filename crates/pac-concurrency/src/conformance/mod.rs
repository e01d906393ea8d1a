//! What every driver must prove, against its real server.
//!
//! A driver's crate implements [`Harness`] and has [`conformance_tests!`](crate::conformance_tests) make a test of each case;
//! [`exercise`] runs them all on one store, for what is said of a store as a whole. Cases are written against the contract in
//! [`crate::driver`], never against a driver's name: what only some stores can do is asked of
//! [`Capabilities`](crate::Capabilities). Each case works on repositories of its own, so that all of them can share one
//! server; outcomes and stored state are asserted, and most cases are run over two drivers that share the store.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a suite of tests: failing loudly is its purpose"
)]

mod admission;
mod dropped;
mod hostile;
mod leases;
mod limit;
mod notify;
mod order;
mod past;
mod recovery;

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

/// A case: its name, and what it does with a store.
struct Case {
    name: &'static str,
    run: fn(Suite) -> BoxFuture<'static, ()>,
}

/// The suite. `conformance_tests!(harness, drivers)` makes a test of each case, named as the case is: with a store of its
/// own, which `harness` (an expression) starts, and so many drivers on it. The cases are named here and nowhere else.
#[macro_export]
macro_rules! conformance_tests {
    ($harness:expr, $drivers:expr) => { $crate::conformance_tests! { @cases tests [$harness, $drivers] } };
    (@cases $of_them:ident $given:tt) => {
        $crate::conformance_tests! { @$of_them $given
            admission::an_unknown_repository_is_empty,
            admission::admits_and_releases,
            admission::a_stale_version_changes_nothing,
            admission::every_part_of_a_delta_is_idempotent,
            admission::an_enqueue_never_takes_a_slot_away,
            admission::a_slot_given_back_returns_to_its_place,
            admission::one_delta_does_everything_at_once,
            admission::a_large_delta_is_one_change,
            dropped::a_commit_that_is_dropped_happens_whole_or_not_at_all,
            dropped::a_large_commit_that_is_dropped_happens_whole_or_not_at_all,
            order::the_queue_is_in_order,
            order::a_window_shows_the_head_and_counts_all,
            order::a_place_once_given_stays,
            order::a_run_released_and_enqueued_in_one_change_gets_its_new_place,
            leases::a_lease_is_renewed,
            leases::a_lapsed_lease_frees_no_slot,
            leases::an_ended_term_stays_ended,
            leases::a_claim_changes_the_holder_alone,
            leases::one_lease_stands_behind_all_slots_of_a_holder,
            limit::racing_managers_stay_within_the_limit,
            limit::racing_commits_have_one_winner,
            notify::others_hear_of_changes,
            past::a_past_is_kept_beside_all_that_is_decided,
            recovery::a_forgotten_repository_is_gone_for_good,
            recovery::repositories_lists_each_once,
            recovery::another_driver_sees_the_same_state,
            hostile::names_that_begin_alike_are_kept_apart,
            hostile::names_of_maximal_length_fit,
            hostile::places_at_the_edge_of_time_sort,
            hostile::a_run_recreated_under_its_name_is_another,
        }
    };
    (@tests [$harness:expr, $drivers:expr] $($of:ident::$case:ident,)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread")]
            async fn $case() {
                $crate::conformance::exercise_case(&$harness, $drivers, stringify!($case)).await;
            }
        )*
    };
    (@table [] $($of:ident::$case:ident,)*) => {
        &[$(Case { name: stringify!($case), run: |suite| $of::$case(suite).boxed() }),*]
    };
}

const CASES: &[Case] = conformance_tests! { @cases table [] };

/// Runs every case with `drivers` drivers on the store (two at least); panics at the end, naming those that failed.
pub async fn exercise(harness: &dyn Harness, drivers: usize) {
    let on_store = connect(harness, drivers).await;
    let mut failed = Vec::new();
    for case in CASES {
        let outcome = AssertUnwindSafe(case.on(&on_store)).catch_unwind().await;
        println!("conformance {} ... {}", case.name, if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed: {failed:?}", failed.len(), CASES.len());
}

/// Runs the case called `name`, as [`exercise`] does.
pub async fn exercise_case(harness: &dyn Harness, drivers: usize, name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of that name");
    case.on(&connect(harness, drivers).await).await;
}

async fn connect(harness: &dyn Harness, drivers: usize) -> Vec<Arc<dyn Driver>> {
    let mut on_store = Vec::new();
    for _ in 0..drivers.max(2) {
        on_store.push(harness.driver().await);
    }
    on_store
}

// === impl Case ===

impl Case {
    fn on(&self, drivers: &[Arc<dyn Driver>]) -> BoxFuture<'static, ()> {
        (self.run)(Suite { case: self.name, drivers: drivers.to_vec(), counter: Arc::default() })
    }
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
