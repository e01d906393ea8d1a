//! Random histories: what was made by one store is explained, what was altered isn't, and of small ones a search without any wit says the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

mod random_histories;

use pac_judge::history::{History, Operation, Outcome, Record};
use pac_judge::{judge, text};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use random_histories::{Shape, brute_force, generate};

const LARGE: Shape = Shape { operations: 3_000, clients: 8, runs: 10, lost: 0.05 };

/// More runs than any commit here has.
const NEVER_LARGE: usize = 1_000;

#[test]
fn what_one_store_did_is_explained() {
    for seed in 0..10 {
        let history = generate(LARGE, seed);
        judge(&history, NEVER_LARGE).unwrap_or_else(|breach| panic!("seed {seed}: {breach}"));
    }
}

/// As long as those of a long trial; the search must not take more than it did by then for each operation.
#[test]
fn a_long_history_is_judged_in_seconds() {
    let history = generate(Shape { operations: 40_000, ..LARGE }, 1);
    let effort = judge(&history, NEVER_LARGE).unwrap_or_else(|breach| panic!("{breach}"));
    // Those whose answer was lost are a thousand.
    assert!(effort.under_way < 50 && effort.configurations < 50, "{effort:?}");
}

#[test]
fn one_answer_that_is_altered_is_found() {
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut history = generate(LARGE, seed);
        let altered = alter(&mut history, seed, &mut random);
        let breach = judge(&history, NEVER_LARGE).expect_err("it was found linearizable");
        assert!(breach.part.len() <= 30, "seed {seed}: {altered}, in a part of {}: {breach}", breach.part.len());
    }
}

/// Alters one answer to one that can't be: a run that nobody ever enqueued, what was there before another commit began and ended,
/// a second commit on one version.
fn alter(history: &mut History, seed: u64, random: &mut StdRng) -> String {
    let records = &mut history.records;
    records.sort_by_key(|record| record.call.called);
    let begin = random.random_range(records.len() / 4..records.len() / 2);
    match seed % 3 {
        0 => {
            let at = at(records, begin, |operation| matches!(operation, Operation::Load { .. }));
            let Operation::Load { seen, .. } = &mut records[at].call.operation else { unreachable!() };
            seen.slots.push((pac_judge::history::Entry { place: 1, run: 999 }, 0));
            text::line(&records[at])
        }
        1 => {
            let old = at(records, 0, |operation| matches!(operation, Operation::Load { .. }));
            let later = records[old].call.returned.unwrap();
            let replaced = (begin..).find(|&at| {
                let is_after = records[at].call.called > later;
                is_after && matches!(&records[at].call.operation, Operation::Load { .. })
            });
            let (replaced, old) = (replaced.unwrap(), records[old].call.operation.clone());
            records[replaced].call.operation = old;
            text::line(&records[replaced])
        }
        _ => {
            let done = |operation: &Operation| matches!(operation, Operation::Commit { outcome: Outcome::Done(_), .. });
            let (first, second) = (at(records, 0, done), at(records, begin, done));
            let Operation::Commit { expected: of_first, .. } = records[first].call.operation else { unreachable!() };
            let Operation::Commit { expected, .. } = &mut records[second].call.operation else { unreachable!() };
            *expected = of_first;
            text::line(&records[second])
        }
    }
}

/// The first from `begin` on that `is` so.
fn at(records: &[Record], begin: usize, is: impl Fn(&Operation) -> bool) -> usize {
    (begin..records.len()).find(|&at| is(&records[at].call.operation)).unwrap()
}

#[test]
fn small_histories_are_judged_as_by_trying_everything() {
    let cases = std::env::var("JUDGE_CASES").map_or(4_000, |cases| cases.parse().unwrap());
    let mut explained = 0;
    for seed in 0..cases {
        let mut random = StdRng::seed_from_u64(seed);
        let shape = Shape { operations: random.random_range(2..=6), clients: 3, runs: 2, lost: 0.3 };
        let mut history = generate(shape, seed);
        for _ in 0..random.random_range(0..=2) {
            disturb(&mut history, &mut random);
        }
        let large = *[1, NEVER_LARGE].choose(&mut random).unwrap();
        let (verdict, expected) = (judge(&history, large), brute_force(&history, large));
        let shown = || text::write(std::slice::from_ref(&history));
        assert_eq!(verdict.is_ok(), expected, "seed {seed}, large above {large}:\n{}", shown());
        explained += u64::from(expected);
    }
    println!("{explained} of {cases} have an explanation");
    assert!(explained > cases / 5 && explained < cases * 4 / 5, "{explained} of {cases}");
}

/// Changes something of one record: a version, a time, an outcome, or what it saw.
fn disturb(history: &mut History, random: &mut StdRng) {
    let told = [0, 1_001, 1_002, 1_003, 1_004];
    let (versions, mut records) = (told, std::mem::take(&mut history.records));
    let mut any = || *versions.choose(random).unwrap();
    let (one, another) = (any(), any());
    let at = random.random_range(0..records.len());
    let call = &mut records[at].call;
    match &mut call.operation {
        _ if random.random_bool(0.3) => {
            call.called = random.random_range(0..60);
            call.returned = call.returned.map(|_| call.called + random.random_range(1..20));
        }
        Operation::Load { seen, .. } if random.random_bool(0.7) => seen.version = one,
        Operation::Load { seen, .. } => seen.waiting_count += 1,
        Operation::Commit { expected, .. } if random.random_bool(0.4) => *expected = one,
        Operation::Commit { outcome, .. } => {
            *outcome = match random.random_range(0..3) {
                0 => Outcome::Done(another),
                1 => Outcome::Conflict,
                _ => Outcome::Lost,
            };
            call.returned = match *outcome {
                Outcome::Lost => None,
                _ => Some(call.called + random.random_range(1..20)),
            };
        }
    }
    history.records = records;
}
