//! One pass: what it loads, what it tries again, and what it says it came to.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use pac_concurrency::protocol::STALL_AFTER;
use pac_concurrency::{
    Delta, Driver, DriverError, Fault, Holder, Manager, ManagerOptions, OwnershipView, Plan, RepositoryKey, RunKey,
    RunState, Scope, Snapshot, Version, Window,
};
use pac_driver_mem::MemDriver;
use pac_metrics::{Exposition, per_repository};

use crate::played::{LEASE, Lossy, entry, manager, pass, pass_over, repository};

/// A manager that remembers and loads `window` entries, and its store.
async fn played(window: usize, attempts: u32) -> (Manager, Arc<Lossy>) {
    let store = Arc::new(Lossy::new(&MemDriver::new(LEASE)));
    let options = ManagerOptions { window, attempts, ..ManagerOptions::new("watcher") };
    let manager = Manager::new(Arc::clone(&store) as Arc<dyn Driver>, options);
    manager.keep_term().await.unwrap();
    (manager, store)
}

/// Commits `delta` as another watcher.
async fn another_commits(store: &MemDriver, delta: Delta) {
    let holder = Holder::new("another");
    store.begin(&holder).await.unwrap();
    let version = store.load(&repository(), Window::First(0)).await.unwrap().version;
    store.commit(&repository(), version, &holder, &delta).await.unwrap();
}

/// The scopes a pass decides with, of a caller that wants nothing.
async fn scopes(manager: &Manager) -> Vec<Scope> {
    let seen = Mutex::new(Vec::new());
    let decide = |_: &Snapshot, scope: Scope, _: &OwnershipView<'_>| {
        seen.lock().unwrap().push(scope);
        Plan::default()
    };
    manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap();
    seen.into_inner().unwrap()
}

#[tokio::test]
async fn a_pass_says_who_joined_the_queue_and_whether_the_store_was_asked() {
    let (manager, _) = played(128, 8).await;
    let first = pass(&manager).await.unwrap();
    assert_eq!(first.joined, [(entry(2).run, 1)], "who is admitted at once never waited");
    assert_eq!((first.waiting_count, first.store_answered), (1, true));
    // The pass after it looks at the slot that was granted once more, and finds it there.
    manager.invalidate(&repository());
    let decide = |_: &Snapshot, _: Scope, _: &OwnershipView<'_>| Plan::default();
    assert!(manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap().store_answered);
    assert!(!manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap().store_answered, "it is settled");
}

#[tokio::test]
async fn who_joins_behind_the_remembered_head_has_the_queues_length_for_its_place() {
    let (manager, store) = played(1, 8).await;
    let waiting = [1, 2, 3].map(entry).to_vec();
    another_commits(&store.store, Delta { enqueue: waiting.clone(), ..Delta::default() }).await;
    let decide = |_: &Snapshot, _: Scope, _: &OwnershipView<'_>| Plan { enqueued: vec![entry(4)], ..Plan::default() };
    let joined = manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap().joined;
    assert_eq!(joined, [(entry(4).run, 4)]);
}

#[tokio::test]
async fn a_head_of_runs_that_are_over_is_followed_by_more() {
    let (manager, store) = played(1, 8).await;
    another_commits(&store.store, Delta { enqueue: (1..=20).map(entry).collect(), ..Delta::default() }).await;
    let over = [1, 2].map(|number| entry(number).run);
    let state = |run: &RunKey| if over.contains(run) { RunState::Finished } else { RunState::Pending };
    let passed = pass_over(&manager, &[], &state).await.unwrap();
    assert_eq!(passed.start, [entry(3).run]);
    assert_eq!(store.loads.load(Ordering::Relaxed), 2, "one entry, then eight");
}

#[tokio::test]
async fn a_commit_that_conflicts_is_planned_again_so_many_times_and_no_more() {
    for (conflicts, tried) in [(2, 3), (3, 3)] {
        let (manager, store) = played(128, 3).await;
        store.refusals.lock().unwrap().extend((0..conflicts).map(|_| DriverError::Conflict));
        let passed = pass(&manager).await;
        assert_eq!(passed.is_ok(), conflicts < 3, "{passed:?}");
        assert_eq!(store.commits.load(Ordering::Relaxed), tried);
    }
}

#[tokio::test]
async fn a_commit_that_came_to_nothing_is_left_to_the_next_pass() {
    let (manager, store) = played(128, 3).await;
    store.refusals.lock().unwrap().push_back(DriverError::Unavailable(Fault::new("nobody listens")));
    assert!(matches!(pass(&manager).await, Err(DriverError::Unavailable(_))));
    assert_eq!(store.commits.load(Ordering::Relaxed), 1);
    assert_eq!(pass(&manager).await.unwrap().start, [entry(1).run], "P4");
}

#[tokio::test]
async fn what_others_changed_is_looked_at_whole() {
    let (manager, store) = played(1, 8).await;
    let loads = || store.loads.load(Ordering::Relaxed);
    pass(&manager).await.unwrap();
    manager.invalidate(&repository());
    let before = loads();
    assert_eq!((scopes(&manager).await, loads() - before), (vec![Scope::Head], 1), "nobody changed it");
    another_commits(&store.store, Delta { release: vec![entry(9).run], ..Delta::default() }).await;
    manager.invalidate(&repository());
    let before = loads();
    assert_eq!((scopes(&manager).await, loads() - before), (vec![Scope::Whole], 1), "one entry is all there is");
    another_commits(&store.store, Delta { enqueue: vec![entry(3)], ..Delta::default() }).await;
    manager.invalidate(&repository());
    let before = loads();
    assert_eq!((scopes(&manager).await, loads() - before), (vec![Scope::Whole], 2), "the head, then all of it");
}

#[tokio::test]
async fn a_pass_says_whether_anything_is_left() {
    let (manager, store) = played(128, 8).await;
    let left = async || {
        manager.invalidate(&repository());
        let decide = |_: &Snapshot, _: Scope, _: &OwnershipView<'_>| Plan::default();
        let passed = manager.reconcile(&repository(), Scope::Head, &decide).await.unwrap();
        (passed.is_unknown, passed.is_blank)
    };
    assert_eq!(left().await, (true, false));
    another_commits(&store.store, Delta { enqueue: vec![entry(1)], ..Delta::default() }).await;
    assert_eq!(left().await, (false, false), "one waits");
    another_commits(&store.store, Delta { hold: vec![entry(1)], ..Delta::default() }).await;
    assert_eq!(left().await, (false, false), "one has a slot");
    another_commits(&store.store, Delta { release: vec![entry(1).run], ..Delta::default() }).await;
    assert_eq!(left().await, (false, true));
}

#[tokio::test(start_paused = true)]
async fn passes_meanwhile_give_another_holder_no_further_time() {
    let store = MemDriver::new(LEASE);
    let manager = manager(&store);
    manager.keep_term().await.unwrap();
    another_commits(&store, Delta { hold: vec![entry(1)], ..Delta::default() }).await;
    assert_eq!(pass(&manager).await.unwrap().plan.claimed, []);
    tokio::time::advance(STALL_AFTER / 2).await;
    assert_eq!(pass(&manager).await.unwrap().plan.claimed, []);
    tokio::time::advance(STALL_AFTER / 2).await;
    assert_eq!(pass(&manager).await.unwrap().plan.claimed, [entry(1)], "P4");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_claims_at_once_what_its_predecessor_did_not_start() {
    let store = MemDriver::new(LEASE * 10);
    let manager = manager(&store);
    manager.keep_term().await.unwrap();
    let claimed = async || {
        another_commits(&store, Delta { hold: vec![entry(1)], ..Delta::default() }).await;
        manager.invalidate(&repository());
        pass(&manager).await.unwrap().plan.claimed
    };
    assert_eq!(claimed().await, [], "it may have a start of it under way");
    manager.claim_from_predecessor();
    assert_eq!(claimed().await, [entry(1)]);
    manager.end_claim_from_predecessor();
    assert_eq!(claimed().await, [], "it leads no more");
    manager.claim_from_predecessor();
    tokio::time::advance(STALL_AFTER).await;
    let of_another = Delta { release: vec![entry(1).run], ..Delta::default() };
    another_commits(&store, of_another).await;
    assert_eq!(claimed().await, [], "who else has a slot by now got it since");
}

#[tokio::test]
async fn a_limit_that_is_reached_is_counted_once_until_it_was_not() {
    let (manager, _) = played(128, 8).await;
    let repository = RepositoryKey::new("ns", "limited").unwrap();
    let counted = || {
        let mut exposition = Exposition::new(true);
        per_repository::write(&mut exposition, &[("ns", "limited")].into());
        let text = exposition.text();
        let line = text.lines().find(|line| line.starts_with("pac_concurrency_limit_reached_total{")).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let pass = async |at_limit: bool| {
        let decide = |_: &Snapshot, _: Scope, _: &OwnershipView<'_>| Plan { at_limit, ..Plan::default() };
        manager.reconcile(&repository, Scope::Head, &decide).await.unwrap();
    };
    for (at_limit, count) in [(false, "0"), (true, "1"), (true, "1"), (false, "1"), (true, "2")] {
        pass(at_limit).await;
        assert_eq!(counted(), count, "{at_limit}");
    }
}

#[tokio::test]
async fn what_is_remembered_shows_who_has_a_slot() {
    let (manager, _) = played(128, 8).await;
    assert_eq!((manager.held_slots().len(), manager.slots()), (0, Vec::new()));
    pass(&manager).await.unwrap();
    assert_eq!(manager.held_slots(), [(repository(), 1)].into());
    assert_eq!(manager.slots(), [(repository(), Some(vec![entry(1).run]))]);
    manager.invalidate(&repository());
    assert_eq!(manager.held_slots(), [(repository(), 1)].into(), "as of the last pass");
    assert_eq!(manager.slots(), [(repository(), None)], "it takes a pass to tell");
    manager.drop_known(&repository());
    assert_eq!((manager.held_slots().len(), manager.slots()), (0, Vec::new()));
}

#[tokio::test]
async fn a_repository_of_which_nothing_is_left_is_forgotten_and_no_other() {
    let (manager, store) = played(128, 8).await;
    let known = async || !manager.repositories().await.unwrap().keys.is_empty();
    assert!(!manager.forget(&repository()).await.unwrap(), "the store doesn't know it");
    pass(&manager).await.unwrap();
    assert_eq!(manager.repositories().await.unwrap().keys, [repository()]);
    another_commits(&store.store, Delta { release: vec![entry(2).run], ..Delta::default() }).await;
    assert!(!manager.forget(&repository()).await.unwrap() && known().await, "one has a slot");
    let waits = Delta { release: vec![entry(1).run], enqueue: vec![entry(2)], ..Delta::default() };
    another_commits(&store.store, waits).await;
    assert!(!manager.forget(&repository()).await.unwrap() && known().await, "one waits");
    another_commits(&store.store, Delta { release: vec![entry(2).run], ..Delta::default() }).await;
    assert!(manager.forget(&repository()).await.unwrap() && !known().await);
    assert_eq!(store.load(&repository(), Window::Whole).await.unwrap().version, Version::NONE);
    assert!(manager.held_slots().is_empty() && manager.slots().is_empty(), "nothing of it is remembered");
}
