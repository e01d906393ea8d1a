//! The pure function, on repositories of the sizes it meets. `cargo xtask bench plan` puts the figures into docs/benchmarks.md.

#![allow(missing_docs, reason = "criterion's macros make functions without any")]
#![allow(clippy::unwrap_used, reason = "names that are known to be good")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pac_concurrency::{
    Entry, Holder, Limit, Observation, OrderKey, RunKey, Seen, Slot, Snapshot, Standing, Version, plan,
};

fn run(number: i64) -> Entry {
    let uid = format!("00000000-0000-4000-8000-{number:012}");
    Entry::new(RunKey::new("team", &format!("repository-{number:06}"), &uid).unwrap(), OrderKey::alone(number))
}

/// Slots for the first `held` runs, and the next `waiting` in the window.
fn snapshot(held: i64, waiting: i64) -> Snapshot {
    let holder = Holder::new("bench");
    let slot = |number| Slot { entry: run(number), holder: holder.clone(), lapsed: false };
    let slots: BTreeMap<RunKey, Slot> = (0..held).map(|number| (run(number).run, slot(number))).collect();
    let waiting: BTreeSet<Entry> = (held..held + waiting).map(run).collect();
    let waiting_count = waiting.len();
    Snapshot { version: Version::new(1), slots, waiting, waiting_count, whole: true, corrupt: Vec::new() }
}

/// What is decided on `snapshot` while the runs before `over` are over and all others with a slot run.
fn decided(criterion: &mut Criterion, name: &str, snapshot: &Snapshot, fresh: &[Entry], limit: i64, over: i64) {
    let running: Vec<Entry> = snapshot.slots.values().map(|slot| slot.entry.clone()).skip(over as usize).collect();
    let holds = running.len() as i64 + over;
    let seen = |run: &RunKey| match run.uid()[24..].parse::<i64>().unwrap() {
        number if number < over => Seen::Over,
        number if number < holds => Seen::Running,
        _ => Seen::Waiting,
    };
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            let observation = Observation {
                limit: Limit::effective(Some(limit), None),
                running: running.clone(),
                waiting: fresh.to_vec(),
                departed: Vec::new(),
                unsettled_since: None,
                seen: &seen,
                standing: &|_| Standing::Mine,
            };
            black_box(plan(black_box(snapshot), &observation))
        });
    });
}

fn benches(criterion: &mut Criterion) {
    let usual = snapshot(2, 128);
    decided(criterion, "nothing to do, 2 slots, 128 in the window", &usual, &[], 2, 0);
    decided(criterion, "one over, one admitted, 2 slots, 128 in the window", &usual, &[], 2, 1);
    decided(criterion, "one over, one admitted, 64 slots, 128 in the window", &snapshot(64, 128), &[], 64, 1);
    let fresh: Vec<Entry> = (1_000..11_000).map(run).collect();
    decided(criterion, "10,000 new to the queue", &snapshot(2, 0), &fresh, 2, 0);
    decided(criterion, "nothing to do, the whole of 10,000 loaded", &snapshot(2, 10_000), &[], 2, 0);
}

criterion_group!(plans, benches);
criterion_main!(plans);
