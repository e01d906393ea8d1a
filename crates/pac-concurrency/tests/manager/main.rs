//! The manager on a store that answers late, or not at all, and with a lease that is not renewed.

#![allow(clippy::unwrap_used, reason = "a test")]

mod beside;
mod passes;
mod played;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pac_concurrency::manager::TermEvent;
use pac_concurrency::{
    ConnectedStore, Delta, Driver, DriverError, Holder, Manager, ManagerOptions, OwnershipView, Plan, Scope, Snapshot,
    Version, Window, relocate,
};
use pac_driver_mem::MemDriver;
use played::{LEASE, Lossy, entry, manager, pass, repository};

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_looked_up_and_its_run_started() {
    let store = MemDriver::new(LEASE);
    let lossy = Lossy { loses_next: AtomicBool::new(true), ..Lossy::new(&store) };
    let manager = Manager::new(Arc::new(lossy), ManagerOptions::new("watcher"));
    manager.keep_term().await.unwrap();
    let passed = pass(&manager).await.unwrap();
    assert_eq!(passed.start, [entry(1).run], "P4");
    let stored = store.load(&repository(), Window::Whole).await.unwrap();
    assert_eq!(stored.slots.keys().collect::<Vec<_>>(), [&entry(1).run], "P1");
}

#[tokio::test(start_paused = true)]
async fn a_watcher_that_does_not_renew_its_lease_admits_nobody_before_the_store_gives_it_up() {
    let store = MemDriver::new(LEASE);
    let manager = manager(&store);
    assert!(matches!(pass(&manager).await, Err(DriverError::Unavailable(_))), "it has no term yet");
    manager.keep_term().await.unwrap();
    tokio::time::advance(LEASE / 2).await;
    assert_eq!(pass(&manager).await.unwrap().start, [entry(1).run]);
    tokio::time::advance(LEASE / 4).await;
    assert!(matches!(pass(&manager).await, Err(DriverError::Unavailable(_))), "P7");
    assert_eq!(manager.keep_term().await.unwrap(), TermEvent::Renewed);
    assert_eq!(pass(&manager).await.unwrap().start, [entry(1).run]);
    manager.end_term().await.unwrap();
    assert!(pass(&manager).await.is_err(), "an ended term admits nobody");
}

#[tokio::test]
async fn a_lost_lease_is_followed_by_a_new_term_that_claims_what_the_old_one_held() {
    let store = MemDriver::new(LEASE);
    let manager = manager(&store);
    manager.keep_term().await.unwrap();
    let old = manager.holder();
    assert_eq!(pass(&manager).await.unwrap().start, [entry(1).run]);
    store.end(&old).await.unwrap();
    assert_eq!(manager.keep_term().await.unwrap(), TermEvent::Began);
    assert_ne!(manager.holder(), old);
    let passed = pass(&manager).await.unwrap();
    assert_eq!((passed.plan.claimed, passed.start), (vec![entry(1)], vec![]), "claimed first");
    assert_eq!(pass(&manager).await.unwrap().start, [entry(1).run], "P4: started by the next pass");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_trusted_from_when_its_renewal_was_asked_for() {
    let store = MemDriver::new(LEASE);
    let slow = Lossy { renews_in: LEASE / 2, ..Lossy::new(&store) };
    let manager = Manager::new(Arc::new(slow), ManagerOptions::new("watcher"));
    manager.keep_term().await.unwrap();
    let asked = tokio::time::Instant::now();
    assert_eq!(manager.keep_term().await.unwrap(), TermEvent::Renewed);
    assert_eq!(asked.elapsed(), LEASE / 2);
    assert!(pass(&manager).await.is_ok());
    tokio::time::advance(LEASE / 4).await;
    assert!(pass(&manager).await.is_err(), "P7: the store may have begun to count when it was asked");
}

#[tokio::test(start_paused = true)]
async fn a_term_that_ends_during_a_pass_commits_nothing() {
    let store = MemDriver::new(LEASE);
    let slow = Arc::new(Lossy { answers_in: LEASE / 2, ..Lossy::new(&store) });
    let manager = Manager::new(Arc::clone(&slow) as Arc<dyn Driver>, ManagerOptions::new("watcher"));
    manager.keep_term().await.unwrap();
    tokio::time::advance(LEASE / 2).await;
    assert!(matches!(pass(&manager).await, Err(DriverError::Unavailable(_))));
    assert_eq!(slow.commits.load(Ordering::Relaxed), 0, "P7: it loaded for longer than its lease is trusted");

    // Nor by the old term once there is another: its slots would be anybody's.
    assert_eq!(manager.keep_term().await.unwrap(), TermEvent::Renewed);
    let old = manager.holder();
    store.end(&old).await.unwrap();
    let (passed, kept) = tokio::join!(pass(&manager), manager.keep_term());
    assert_eq!((passed.unwrap().start, kept.unwrap()), (vec![entry(1).run], TermEvent::Began));
    let stored = store.load(&repository(), Window::Whole).await.unwrap();
    assert_eq!(stored.slots[&entry(1).run].holder, manager.holder());
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_proven_from_when_it_was_asked_for() {
    let store = MemDriver::new(LEASE);
    let late = Duration::from_secs(9);
    let slow = Lossy { answers_in: late, ..Lossy::new(&store) };
    let manager = Manager::new(Arc::new(slow), ManagerOptions::new("watcher"));
    manager.keep_term().await.unwrap();
    for asks in [2, 1] {
        let began = tokio::time::Instant::now();
        let passed = pass(&manager).await.unwrap();
        assert_eq!((passed.start, began.elapsed()), (vec![entry(1).run], late * asks));
        assert_eq!(passed.proven, began + late * (asks - 1), "P1: another may have claimed it since");
        manager.invalidate(&repository());
    }
}

#[tokio::test]
async fn what_changes_during_a_pass_is_loaded_by_the_next() {
    let store = MemDriver::new(LEASE);
    let driver = Arc::new(Lossy::new(&store));
    let manager = Manager::new(Arc::clone(&driver) as Arc<dyn Driver>, ManagerOptions::new("watcher"));
    manager.keep_term().await.unwrap();
    let loads = || driver.loads.load(Ordering::Relaxed);
    let look = async |happens: &(dyn Fn() + Sync)| {
        let decide = |_: &Snapshot, _: Scope, _: &OwnershipView<'_>| {
            happens();
            Plan::default()
        };
        manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap();
    };
    look(&|| {}).await;
    look(&|| {}).await;
    assert_eq!(loads(), 1, "it is remembered");
    look(&|| manager.invalidate(&repository())).await;
    look(&|| {}).await;
    assert_eq!(loads(), 2, "what the pass before put back is stale");
}

#[tokio::test(start_paused = true)]
async fn another_holder_is_given_its_own_time_to_start_a_run() {
    let store = MemDriver::new(LEASE);
    let manager = manager(&store);
    manager.keep_term().await.unwrap();
    let holders = [Holder::new("first"), Holder::new("second")];
    let hold = Delta { hold: vec![entry(1)], ..Delta::default() };
    let mut claimed = Vec::new();
    for holder in &holders {
        store.begin(holder).await.unwrap();
        let version = store.load(&repository(), Window::Whole).await.unwrap().version;
        store.commit(&repository(), version, holder, &hold).await.unwrap();
        manager.invalidate(&repository());
        claimed.extend(pass(&manager).await.unwrap().plan.claimed);
        tokio::time::advance(Duration::from_secs(10)).await;
        claimed.extend(pass(&manager).await.unwrap().plan.claimed);
    }
    assert_eq!(claimed, [], "P7: the second one may have a start of it under way");
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(pass(&manager).await.unwrap().plan.claimed, [entry(1)], "P4");
}

#[tokio::test]
async fn what_is_moved_to_another_store_has_its_slots_and_its_places() {
    let (from, to) = (Arc::new(MemDriver::new(LEASE)), Arc::new(MemDriver::new(LEASE)));
    let holder = Holder::new("watcher");
    from.begin(&holder).await.unwrap();
    let delta = Delta { hold: vec![entry(1), entry(2)], enqueue: vec![entry(3), entry(4)], ..Delta::default() };
    from.commit(&repository(), Version::NONE, &holder, &delta).await.unwrap();
    let stores = [ConnectedStore::from(Arc::clone(&from)), Arc::clone(&to).into()];
    let moved = relocate(&stores[0], &stores[1]).await.unwrap();
    assert_eq!((moved.repositories, moved.slots, moved.waiting), (1, 2, 2));
    let found = to.load(&repository(), Window::Whole).await.unwrap();
    assert_eq!(found.slots.values().map(|slot| slot.entry.clone()).collect::<Vec<_>>(), [entry(1), entry(2)], "P1");
    assert_eq!(found.waiting.into_iter().collect::<Vec<_>>(), [entry(3), entry(4)], "P6");
    relocate(&stores[0], &stores[1]).await.unwrap();
    assert_eq!(to.load(&repository(), Window::Whole).await.unwrap().waiting_count, 2, "made again, it changes nothing");
}
