//! The pure function, on repositories of the sizes it meets. `cargo xtask bench plan` puts the figures into docs/benchmarks.md.

#![allow(missing_docs, reason = "criterion's macros make functions without any")]
#![allow(clippy::unwrap_used, reason = "names that are known to be good")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pac_concurrency::{
    Entry, Holder, Limit, Observation, OrderKey, RunKey, RunState, Slot, SlotOwnership, Snapshot, Version, plan,
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

/// What is decided on `snapshot` while the runs before `over` are over and all others with a slot run; `decides` says what that
/// must come to: released, granted and enqueued.
fn decided(
    criterion: &mut Criterion,
    name: &str,
    snapshot: &Snapshot,
    fresh: &[Entry],
    over: i64,
    decides: [usize; 3],
) {
    let running: Vec<Entry> = snapshot.slots.values().map(|slot| slot.entry.clone()).skip(over as usize).collect();
    let limit = Limit::effective(Some(snapshot.slots.len() as i64), None);
    // As the watcher looks a run up: in a map, by its key.
    let mut phases: HashMap<RunKey, RunState> =
        snapshot.slots.keys().map(|run| (run.clone(), RunState::Finished)).collect();
    phases.extend(running.iter().map(|entry| (entry.run.clone(), RunState::Running)));
    phases.extend(snapshot.waiting.iter().chain(fresh).map(|entry| (entry.run.clone(), RunState::Pending)));
    let seen = |run: &RunKey| phases.get(run).copied().unwrap_or(RunState::NotCached);
    let observation = || Observation {
        limit,
        running: running.clone(),
        waiting: fresh.to_vec(),
        moved: Vec::new(),
        departed: Vec::new(),
        settled: &|_| true,
        state: &seen,
        ownership: &|_| SlotOwnership::Mine,
    };
    let plan_once = plan(snapshot, &observation());
    assert_eq!([plan_once.removed().count(), plan_once.granted.len(), plan_once.enqueued.len()], decides, "{name}");
    criterion.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            observation,
            |observation| black_box(plan(black_box(snapshot), observation)),
            BatchSize::SmallInput,
        );
    });
}

fn benches(criterion: &mut Criterion) {
    let usual = snapshot(2, 128);
    decided(criterion, "nothing to do, 2 slots, 128 in the window", &usual, &[], 0, [0, 0, 0]);
    decided(criterion, "one over, one admitted, 2 slots, 128 in the window", &usual, &[], 1, [1, 1, 0]);
    decided(criterion, "one over, one admitted, 64 slots, 128 in the window", &snapshot(64, 128), &[], 1, [1, 1, 0]);
    let fresh: Vec<Entry> = (1_000..11_000).map(run).collect();
    decided(criterion, "10,000 new to the queue", &snapshot(2, 0), &fresh, 0, [0, 0, 10_000]);
    decided(criterion, "nothing to do, the whole of 10,000 loaded", &snapshot(2, 10_000), &[], 0, [0, 0, 0]);
}

criterion_group!(plans, benches);
criterion_main!(plans);
