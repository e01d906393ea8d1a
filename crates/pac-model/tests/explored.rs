//! Every state of systems that are small enough for every test run, and, ignored there, of larger ones: `cargo xtask model`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test")]

use pac_model::Life::{Pending, Running, Unborn};
use pac_model::Slow::{Commits, Everybody, Nobody};
use pac_model::{Budget, Scenario, explore};

/// Two runs that are still to come, limit 1, two watchers, and nothing goes wrong.
fn plain() -> Scenario {
    Scenario {
        watchers: 2,
        runs: vec![Unborn, Unborn],
        limit: 1,
        limits: vec![],
        window: 128,
        slow: Nobody,
        ticks: false,
        lease: None,
        terms: 4,
        budget: Budget::default(),
    }
}

/// Explores `scenario` with as many threads as `MODEL_THREADS` says. With one, no way to what is broken is shorter than the one found.
#[track_caller]
fn holds(name: &str, scenario: Scenario) {
    let threads = std::env::var("MODEL_THREADS").map_or(1, |threads| threads.parse().unwrap());
    let found = explore(scenario, threads, |so_far| {
        println!("{name}: {} states so far, up to {} steps away …", so_far.states, so_far.depth);
    });
    println!(
        "{name}: {} states, {} steps tried, depth {}; {} states of a watcher, {} inputs; {:.1?}",
        found.states, found.steps, found.depth, found.of_a_watcher.0, found.of_a_watcher.1, found.took
    );
    if let Some(broken) = found.broken {
        println!("{name} is broken: {} in {} steps: {}", broken.promise, broken.steps.len(), broken.how);
        let (steps, then) = (broken.steps.join("\n  "), broken.then.join(", "));
        panic!(
            "{name}: {} is broken: {}, after\n  {steps}\nwithout faults from there: {then}",
            broken.promise, broken.how
        );
    }
    assert!(found.whole, "{name} was not explored whole");
}

macro_rules! explored {
    ($($(#[$attribute:meta])* $name:ident { $($field:ident: $value:expr),* $(; $($what:ident: $often:expr),*)? })*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                let budget = Budget { $($($what: $often,)*)? ..Budget::default() };
                holds(stringify!($name), Scenario { $($field: $value,)* budget, ..plain() });
            }
        )*
    };
}

explored! {
    // Two watchers.
    found_at_work { runs: vec![Running, Pending] }
    one_run_comes { runs: vec![Unborn] }
    commits_are_lost { runs: vec![Pending]; lost_commits: 2 }
    starts_are_lost { runs: vec![Pending]; lost_starts: 2, refusals: 1 }
    a_watcher_is_killed { runs: vec![Pending]; crashes: 1 }
    a_run_goes { runs: vec![Pending]; cancelled: 1, deleted: 1 }
    commits_are_slow { runs: vec![Pending], slow: Commits }
    #[ignore = "takes long: cargo xtask model"]
    one_comes_behind { runs: vec![Running, Unborn] }
    #[ignore = "takes long: cargo xtask model"]
    answers_take_their_time { runs: vec![Pending], slow: Everybody }
    #[ignore = "takes long: cargo xtask model"]
    time_passes { runs: vec![Pending], ticks: true }
    #[ignore = "takes long: cargo xtask model"]
    leaders_change { runs: vec![Pending]; elections: 1, refusals: 1 }
    #[ignore = "takes long: cargo xtask model"]
    leases_run_out { runs: vec![Pending], ticks: true, lease: Some(1), terms: 3 }
    #[ignore = "takes long: cargo xtask model"]
    commits_are_slow_and_leaders_change { runs: vec![Pending], slow: Commits; ticks: 3, elections: 1, refusals: 1 }
    #[ignore = "takes long: cargo xtask model"]
    starts_are_lost_and_leaders_change { runs: vec![Pending]; ticks: 3, elections: 1, lost_starts: 1, refusals: 1 }
    // One watcher, more that goes wrong.
    alone_when_its_lease_runs_out { watchers: 1, runs: vec![Pending, Pending], ticks: true, lease: Some(2), terms: 3 }
    alone_killed_and_the_limit_is_lowered { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1]; crashes: 1, limits: 1 }
    #[ignore = "takes long: cargo xtask model"]
    alone_killed_and_the_limit_changes { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1], ticks: true; crashes: 1, limits: 1 }
    #[ignore = "takes long: cargo xtask model"]
    alone_killed_and_slow_and_the_limit_is_lowered { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1], slow: Everybody, ticks: true; crashes: 1, limits: 1 }
    a_claim_is_lost_and_the_limit_is_lowered { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1]; crashes: 1, limits: 1, lost_commits: 1 }
    alone_and_the_connection_breaks { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1], ticks: true; limits: 1, broken_starts: 1, refusals: 1 }
    alone_commits_and_starts_are_lost { watchers: 1, runs: vec![Pending, Pending, Pending]; lost_commits: 1, lost_starts: 2, refusals: 1 }
    alone_and_killed { watchers: 1, runs: vec![Pending, Pending]; crashes: 2, lost_starts: 1 }
    alone_while_the_limit_changes { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![0, 1]; limits: 2, lost_starts: 1 }
    alone_while_runs_go { watchers: 1, runs: vec![Pending, Pending]; cancelled: 1, deleted: 1, recreated: 1 }
    alone_and_slow { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1], slow: Everybody; limits: 1, lost_starts: 1, lost_reads: 1 }
    #[ignore = "takes long: cargo xtask model"]
    alone_and_in_doubt { watchers: 1, runs: vec![Pending, Pending], limit: 2, limits: vec![1], slow: Everybody; ticks: 1, limits: 1, lost_starts: 2 }
    alone_with_a_small_window { watchers: 1, runs: vec![Pending, Pending, Pending, Unborn], window: 1; lost_starts: 1, refusals: 1 }
    #[ignore = "takes long: cargo xtask model"]
    alone_slow_and_time_passes { watchers: 1, runs: vec![Running, Pending], limit: 2, limits: vec![1, 2], slow: Everybody, ticks: true; limits: 3, lost_starts: 2, lost_reads: 1 }
    // Larger ones.
    #[ignore = "takes long: cargo xtask model"]
    one_comes_behind_and_the_limit_changes { runs: vec![Running, Unborn], limits: vec![1, 2]; limits: 2 }
    #[ignore = "takes long: cargo xtask model"]
    two_wait { runs: vec![Pending, Pending] }
    #[ignore = "takes long: cargo xtask model"]
    two_come_behind { runs: vec![Running, Unborn, Unborn] }
    #[ignore = "takes long: cargo xtask model"]
    three_are_at_work { runs: vec![Running, Running, Pending], limit: 2 }
    #[ignore = "takes long: cargo xtask model"]
    two_and_commits_are_lost { runs: vec![Pending, Pending]; lost_commits: 1 }
    #[ignore = "takes long: cargo xtask model"]
    two_and_starts_are_refused { runs: vec![Pending, Pending]; refusals: 1 }
    #[ignore = "takes long: cargo xtask model"]
    two_and_a_watcher_is_killed { runs: vec![Running, Pending]; crashes: 1 }
    #[ignore = "takes long: cargo xtask model"]
    two_and_a_claim_is_lost { runs: vec![Running, Pending], limit: 2, limits: vec![1]; crashes: 1, limits: 1, lost_commits: 1 }
    #[ignore = "takes long: cargo xtask model"]
    two_and_the_limit_changes { runs: vec![Running, Pending], limit: 2, limits: vec![0, 1]; limits: 1 }
}
