//! The same seed gives the same chance and the same time, to everything that a simulation uses.
//!
//! Tokio counts the runtimes of a process, and the branch that `select!` tries first follows from that, too: so each look is in a
//! process of its own.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use rand::Rng;

/// What a program sees of chance and time.
#[derive(Debug, PartialEq)]
struct Seen {
    walked: Vec<u32>,
    drawn: u64,
    uuid: String,
    chosen: Vec<u8>,
    slept: Duration,
    time_of_day: SystemTime,
    written: String,
}

fn look() -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut chosen = Vec::new();
        for _ in 0..64 {
            chosen.push(tokio::select! {
                () = async {} => 0,
                () = async {} => 1,
                () = async {} => 2,
            });
        }
        let began = Instant::now();
        tokio::time::sleep(Duration::from_secs(3_600)).await; // an hour of the paused clock, which takes no time
        Seen {
            walked: (0..100).collect::<HashSet<u32>>().into_iter().collect(),
            drawn: rand::rng().random(),
            uuid: uuid::Uuid::new_v4().to_string(),
            chosen,
            slept: began.elapsed(),
            time_of_day: SystemTime::now(),
            written: jiff::Timestamp::now().to_string(),
        }
    })
}

const SEED: &str = "PAC_TEST_SEED";

/// What is seen with this seed, a line for each kind of it.
fn seen(seed: u64) -> Vec<String> {
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "the_same_seed_shows_the_same", "--nocapture"]).env(SEED, seed.to_string());
    let output = String::from_utf8(again.output().unwrap().stdout).unwrap();
    output.lines().filter(|line| line.starts_with("    ")).map(str::to_owned).collect()
}

#[test]
fn the_same_seed_shows_the_same() {
    if let Ok(seed) = std::env::var(SEED) {
        let Seen { walked, drawn, uuid, chosen, slept, time_of_day, .. } =
            pac_virtual::run(seed.parse().unwrap(), look);
        println!("\n    {walked:?}\n    {drawn}\n    {uuid}\n    {chosen:?}");
        println!("    {slept:?} {time_of_day:?}");
        return;
    }
    let (one, again, other) = (seen(7), seen(7), seen(8));
    assert_eq!(one.len(), 5, "{one:?}");
    assert_eq!(one, again);
    for what in 0..4 {
        assert_ne!(one[what], other[what], "a hash map's order, a number, a uuid, the branch of a select!");
    }
    assert_eq!(one[4], other[4], "time doesn't follow from the seed");
}

#[test]
fn time_is_the_paused_clocks_and_begins_with_the_year() {
    let seen = pac_virtual::run(1, look);
    assert_eq!(seen.slept.as_secs(), 3_600);
    assert_eq!(seen.written, "2026-01-01T01:00:00Z");
    assert_eq!(pac_virtual::elapsed(), None, "this thread has no simulation");
}

#[test]
fn other_threads_have_the_kernels_chance_and_time() {
    let drawn = || uuid::Uuid::new_v4();
    assert_ne!(drawn(), drawn());
    let year = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (inside, outside) = (pac_virtual::run(1, SystemTime::now), SystemTime::now());
    assert_eq!(year(inside), 1_767_225_600);
    assert!(year(outside) > 1_767_225_600);
    assert!(Instant::now() < Instant::now() + Duration::from_secs(1));
}

#[test]
#[should_panic(expected = "on purpose")]
fn a_panic_is_passed_on() {
    pac_virtual::run(1, || assert!(std::hint::black_box(false), "on purpose"));
}
