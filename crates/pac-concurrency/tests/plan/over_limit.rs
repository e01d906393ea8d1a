//! Granted runs that no longer fit the limit.

use pac_concurrency::RunState::{BackingOff, ConfirmedPending, Finished, Pending, Running, Starting};
use pac_concurrency::SlotOwnership::{Foreign, Lapsed, Mine, Stalled};

use super::{Scene, entries, runs};

#[test]
fn a_granted_run_that_no_longer_fits_is_not_started_and_keeps_its_place() {
    let scene = Scene::new(2).slot(1, Running).slot(2, Pending).slot(3, Pending);
    let plan = scene.plan();
    assert_eq!(
        (plan.over_limit_unconfirmed, plan.held),
        (runs(&[2, 3]), 3),
        "P1: any of them may have been started already"
    );
    assert!(plan.resume.is_empty());
    let plan = Scene::new(2).slot(1, Running).slot(2, ConfirmedPending).slot(3, ConfirmedPending).plan();
    assert_eq!((plan.resume, plan.given_back), (runs(&[2]), runs(&[3])));
    let plan = Scene::new(1).slot(2, Pending).seen(1, Running).plan();
    assert_eq!((plan.adopted, plan.over_limit_unconfirmed), (entries(&[1]), runs(&[2])), "P1");
    assert!(plan.given_back.is_empty(), "P5: the cache may be behind, and the run long started");
    let plan = Scene::new(1).slot(2, ConfirmedPending).seen(1, Running).queued(3, Pending).plan();
    assert_eq!((plan.given_back, plan.granted), (runs(&[2]), vec![]));
    let plan = Scene::new(1).slot(2, ConfirmedPending).slot(1, Finished).queued(3, Pending).plan();
    assert_eq!((plan.resume, plan.granted), (runs(&[2]), vec![]), "P3: a slot came free for it in time");
}

#[test]
fn nobody_gives_a_slot_back_while_a_younger_one_is_in_doubt() {
    let plan = Scene::new(2).slot(1, Running).slot(2, ConfirmedPending).slot(3, Pending).plan();
    assert_eq!((plan.over_limit_unconfirmed, plan.held), (runs(&[3]), 3), "P1: it may have been started");
    assert!(plan.given_back.is_empty() && plan.resume.is_empty(), "P3: it might keep its slot, and 2 lose its own");
}

#[test]
fn nobody_gives_a_slot_back_while_a_younger_ones_start_may_be_under_way() {
    for (younger, by) in [(Starting, Mine), (Pending, Foreign), (Pending, Lapsed), (BackingOff, Stalled)] {
        let plan = Scene::new(1).slot(1, ConfirmedPending).slot_of(2, younger, by).plan();
        assert!(plan.given_back.is_empty() && plan.resume.is_empty(), "P3: {younger:?} by {by:?} may run, and 1 wait");
        assert_eq!(plan.held, 2);
        let plan = Scene::new(1).slot_of(1, younger, by).slot(2, ConfirmedPending).plan();
        assert_eq!(plan.given_back, runs(&[2]), "it is the youngest");
    }
    let plan = Scene::new(1).slot(1, ConfirmedPending).slot(2, Running).plan();
    assert_eq!(plan.given_back, runs(&[1]), "nothing can be done about one that runs");
}

#[test]
fn the_youngest_gives_its_slot_back_while_older_ones_are_in_doubt() {
    let plan =
        Scene::new(1).slot(1, Pending).slot(2, ConfirmedPending).slot(3, Pending).slot(4, ConfirmedPending).plan();
    assert_eq!((plan.given_back, plan.over_limit_unconfirmed, plan.resume), (runs(&[4]), runs(&[1, 3]), vec![]));
}

/// A read stands for a while. Where there are more slots than can be read in that time, some are in doubt at every moment.
#[test]
fn slots_that_no_longer_fit_come_free_however_many_have_to_be_read() {
    const STAND: usize = 4;
    let mut left: Vec<i64> = (1..=20).collect();
    let mut read = Vec::new();
    for turn in 0..1_000 {
        if left.len() == 1 {
            return;
        }
        read.push(left[turn % left.len()]);
        let stand = &read[read.len().saturating_sub(STAND)..];
        let state = |run: &i64| if stand.contains(run) { ConfirmedPending } else { Pending };
        let plan = left.iter().fold(Scene::new(1), |scene, run| scene.slot(*run, state(run))).plan();
        let given_back = plan.given_back;
        left.retain(|run| !given_back.contains(&runs(&[*run])[0]));
    }
    panic!("P4: {left:?} keep their slots for ever");
}
