//! Has chance and time of one thread follow from a seed, for simulations that can be repeated.
//!
//! # Where chance and time come from
//!
//! From the kernel, by two functions of the C library. All chance of a Rust program begins in `getrandom`: keys of hash maps, and so
//! the order in which they are walked; `rand` and `uuid`; the branch that `tokio::select!` tries first. All time begins in `clock_gettime`: `Instant`,
//! `SystemTime`, and what other crates make of them. So this crate has both functions itself, and the linker takes them in place of the
//! C library's. Nothing else need be handed a clock or a generator, and no source can be forgotten, other crates' included.
//!
//! On a thread begun by [`run`] chance follows from the seed, and time is that of the Tokio runtime at work on the thread, whose
//! clock is to be paused: then it stands still while anything is done, and leaps when nothing is. All other threads get what the kernel says.
//! Whoever links this crate gets it; so only simulations do.
//!
//! # What it can't do
//!
//! A thread that the simulated program begins is outside. So is what follows from addresses in memory, which the kernel chooses anew for each
//! process: `foldhash` takes some of its chance from there, unless it is given a seed. And Tokio counts the runtimes of a process, from which the
//! branches of `select!` follow, too: so a simulation is repeated by a process that has had none before.
//!
//! # Why here is unsafe code
//!
//! The C library's functions have C's types. It is in `interposed` alone, and this crate has nothing else in it.

mod interposed;

use std::cell::Cell;
use std::panic::resume_unwind;
use std::thread;
use std::time::{Duration, Instant};

/// The stack of a thread whose chance and time follow from a seed, in bytes: futures of debug builds are large.
const STACK: usize = 16 * 1024 * 1024;
/// What the clock that never goes back shows in the beginning.
const MONOTONIC: Duration = Duration::from_secs(1_000_000);
/// What the time of day is then: 2026-01-01T00:00:00Z.
const TIME_OF_DAY: Duration = Duration::from_secs(1_767_225_600);

thread_local! {
    /// The state of the generator; none where the kernel is asked.
    static CHANCE: Cell<Option<u64>> = const { Cell::new(None) };
    /// When the thread began, by Tokio's clock.
    static BEGAN: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
    /// How much time had passed when it was last asked for.
    static PASSED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Whether Tokio is just being asked: it asks the kernel, where it has no runtime with a clock of its own.
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
}

/// Does `task` on a thread of its own, on which all chance follows from `seed`, and time is that of the Tokio runtime which `task` starts
/// with a paused clock. What it panics with is passed on.
pub fn run<T: Send>(seed: u64, task: impl FnOnce() -> T + Send) -> T {
    let seeded = || {
        CHANCE.set(Some(seed));
        IS_ASKED.set(true);
        BEGAN.set(Some(tokio::time::Instant::from_std(Instant::now())));
        IS_ASKED.set(false);
        let _ended = Ended;
        task()
    };
    let outcome = thread::scope(|scope| {
        let thread = thread::Builder::new().name(format!("seed {seed}")).stack_size(STACK);
        thread.spawn_scoped(scope, seeded).map(|thread| thread.join())
    });
    match outcome {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => resume_unwind(panic),
        #[expect(clippy::panic, reason = "as the standard library's own `spawn` does")]
        Err(error) => panic!("no thread can be begun: {error}"),
    }
}

/// How long ago, in its own time, the simulation of this thread began; none where there is none.
pub fn elapsed() -> Option<Duration> {
    BEGAN.get().map(|_| passed())
}

/// Ends a simulation: what the thread does while it ends is nobody's to repeat, and Tokio can't be asked any more.
struct Ended;

impl Drop for Ended {
    fn drop(&mut self) {
        CHANCE.set(None);
        BEGAN.set(None);
    }
}

/// How much time has passed.
fn passed() -> Duration {
    // Whoever asks while Tokio is asked is Tokio, outside of a runtime: there time stands still.
    if let (false, Some(began)) = (IS_ASKED.get(), BEGAN.get()) {
        IS_ASKED.set(true);
        let now = tokio::time::Instant::now();
        IS_ASKED.set(false);
        PASSED.set(now.duration_since(began));
    }
    PASSED.get()
}

/// The next 64 bits of chance, where it follows from a seed. The generator is SplitMix64.
fn chance() -> Option<u64> {
    let state = CHANCE.get()?.wrapping_add(0x9e37_79b9_7f4a_7c15);
    CHANCE.set(Some(state));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Some(mixed ^ (mixed >> 31))
}
