//! Some seeds in every test run, two at a time. `cargo xtask simulate` has more.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use pac_sim::{Part, Process, Report};

/// 72 virtual seconds each: two gusts, and the lull between them.
const HOURS: f64 = 0.02;
const SEEDS: std::ops::Range<u64> = 1..13;

#[test]
fn storms_break_no_promise() {
    let (next, faults) = (AtomicU64::new(SEEDS.start), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS.end) {
                    *faults.lock().unwrap() += storm(seed).fault_count();
                }
            });
        }
    });
    assert!(*faults.lock().unwrap() > 2_000, "{faults:?}");
}

fn storm(seed: u64) -> Report {
    let part = Part::whole(HOURS);
    let process = Process::new(Path::new(env!("CARGO_BIN_EXE_pac-sim")), seed, part.clone());
    let report = process.run().unwrap();
    println!("{}: {report}", part.scenario(seed));
    assert!(report.broken.is_none(), "{report:#?}\nto repeat it: {}", process.told());
    report
}

#[test]
fn one_that_has_no_end_is_told_with_its_seed() {
    let process =
        Process::new(Path::new(env!("CARGO_BIN_EXE_pac-sim")), 1, Part::whole(10.0)).with("--seed-limit", "0");
    let broken = process.run().unwrap().broken.unwrap();
    assert_eq!(broken.promises, ["no end"]);
    assert!(broken.how.contains("no end within 0 s") && process.told().contains("--seed 1 "), "{broken:#?}");
}
