//! Thousands of orders in which threads take turns, in every test run. `THREADS_SCHEDULES=N` tries as many.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::panic::catch_unwind;

use pac_threads::{broken, manager, queue};

/// How many places an order of turns may depend on, by PCT.
const DEPTH: usize = 3;

fn schedules() -> usize {
    std::env::var("THREADS_SCHEDULES").ok().map_or(1_000, |number| number.parse().unwrap())
}

fn holds(threads: fn()) {
    shuttle::check_random(threads, schedules());
    shuttle::check_pct(threads, schedules(), DEPTH);
}

/// The race that was put in is found.
fn is_found(threads: fn()) {
    let found = catch_unwind(|| shuttle::check_random(threads, schedules()));
    assert!(found.is_err(), "nobody noticed the race in {} orders of turns", schedules());
}

#[test]
fn the_queue_of_work_loses_no_request() {
    holds(queue::every_request_is_followed_by_a_look);
}

#[test]
fn a_worker_that_lets_go_too_late_is_found() {
    is_found(broken::every_request_is_followed_by_a_look);
}

#[test]
fn snapshots_that_others_changed_are_forgotten() {
    holds(manager::what_others_changed_is_not_remembered);
}

#[test]
fn a_pass_that_puts_back_what_is_stale_is_found() {
    is_found(broken::what_others_changed_is_not_remembered);
}

#[test]
fn a_term_that_was_ended_stays_ended() {
    holds(manager::a_term_that_was_ended_stays_so);
}

#[test]
fn a_renewal_that_undoes_the_end_is_found() {
    is_found(broken::a_term_that_was_ended_stays_so);
}
