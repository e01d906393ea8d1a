//! The protocol: who may start which run, and when.
//!
//! Several watchers work on one store, none of them knows which others live, and no two clocks agree (P9). What keeps the limit
//! all the same is this order of things: a slot is committed before its run is started, the run is started only by the slot's
//! holder, and a slot whose run may have been started counts until somebody knows better.
//!
//! # One slot, from grant to release
//!
//! ```text
//!                commit                     the API server                 the run
//!                grants                     acknowledges                   is over
//!   waiting ─────────────► granted ───────────────────────► running ──────────────────► released
//!      ▲                   │  ▲  │                             ▲
//!      │     start refused │  │  │ holder gone, or idle for    │ adopted: it runs without a slot
//!      └───── given back ──┘  │  │ STALL_AFTER: claimed by      └──── started by somebody else
//!                             └──┘ another watcher
//! ```
//!
//! 1. **Granted.** A commit against the version it was planned for gives the slot to one holder. Of two watchers that plan on
//!    one version one commits; the other loads and plans again.
//! 2. **Proven.** The commit proves the slot to be its holder's at that moment. How late the answer came nobody can tell, so the
//!    proof is as old as the request. A start is sent within [`PROOF_LASTS`] of the proof or not at all; a later pass proves the
//!    slot anew, by loading it.
//! 3. **Sent.** The start is one request, given up after [`REQUEST_DEADLINE`]. By then, [`START_LASTS`] after its proof, it has
//!    taken effect or never will.
//! 4. **Answered.** Acknowledged, the run is running. Refused, the run is read first: an earlier start may have taken effect. No
//!    answer, the slot stays, the run is read, and the start is sent again if it is still pending. A connection may break long before
//!    [`REQUEST_DEADLINE`]: until then no read and no refusal of another start gives the slot to another run.
//! 5. **Claimed.** A watcher takes a slot over whose holder's lease has lapsed, or whose living holder hasn't started the run
//!    for [`STALL_AFTER`], counted since this watcher saw the slot. The former holder's commits fail from then on, but a start
//!    of its may be under way: for [`FORMER_START_LASTS`] neither a refusal nor a live read lets the claimer give the slot to
//!    another run, nor does a read later that was asked for by then.
//! 6. **Released.** Only the end of the run frees its slot: done, gone, or never to start. A lapsed lease frees nothing (P5).
//!
//! # One term of a watcher
//!
//! All slots of a holder stand or fall with its one lease. The holder trusts the lease for [`LEASE_TRUSTED`] of its time,
//! counted from before the renewal was sent, and renews it after every [`LEASE_RENEWED`]. Trust ends before the store's patience
//! does, so that a watcher that can't renew stops admitting before another takes its slots over. A term that was lost is never
//! renewed: the next one is another holder.
//!
//! # The times
//!
//! Each time below is derived from those before it where one must be longer than the other, and the compiler checks what the
//! proofs above rely on. None of them is a setting.

use std::time::Duration;

use tokio::time::Instant;

/// How old the proof of a slot may be when its run's start is sent.
pub const PROOF_LASTS: Duration = Duration::from_secs(4);

/// Longest one request to the API server may take, a start among them.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// By then after its proof a start has taken effect, or never will.
pub const START_LASTS: Duration = PROOF_LASTS.saturating_add(REQUEST_DEADLINE);

/// How long after a slot was claimed a start of its former holder may still take effect. The former holder's proof is from
/// before the claim; the second more is for two processes' timers, which run at slightly different speeds.
pub const FORMER_START_LASTS: Duration = START_LASTS.saturating_add(Duration::from_secs(1));

/// How long another living watcher has to start a run it has a slot for. For [`FORMER_START_LASTS`] a claimer may not know
/// whether the run was started: with less than that, two watchers would claim the slot from each other for ever.
pub const STALL_AFTER: Duration = FORMER_START_LASTS.saturating_add(FOREIGN_LOOK);

/// How soon to look again at a run another watcher has yet to start.
pub const FOREIGN_LOOK: Duration = Duration::from_secs(5);

/// How long a live read stands for a run being pending: long enough for the pass that asked.
pub const UNSTARTED_STANDS: Duration = Duration::from_secs(2);

/// How long a live read stands for a run that the watch doesn't show.
pub const LIVE_READ_STANDS: Duration = Duration::from_secs(30);

/// How long a run that was asked to stop gracefully before it was started is given to begin with its last tasks. Tekton does at
/// once, where it is there at all; what begins later is counted, too, from then on.
pub const STOPPING_LASTS: Duration = Duration::from_secs(30);

/// The part of a lease's time for which its holder trusts it, in percent.
pub const LEASE_TRUSTED: u32 = 75;

/// The part of a lease's time after which it is renewed, in percent.
pub const LEASE_RENEWED: u32 = 25;

// A claimer gives a slot to nobody else while a start of the former holder may take effect (P1).
const _: () = assert!(is_longer(FORMER_START_LASTS, START_LASTS));
// Two watchers don't claim one slot from each other for ever (P4).
const _: () = assert!(is_longer(STALL_AFTER, FORMER_START_LASTS));
// A proof is still good when the pass that asked for a live read has made use of it (P4).
const _: () = assert!(is_longer(PROOF_LASTS, UNSTARTED_STANDS));
// A slot whose run was stopped counts for as long as any start of it may take effect (P1).
const _: () = assert!(is_longer(STOPPING_LASTS, FORMER_START_LASTS));
// What a live read told outlasts the next one, or the same run would be read all the time.
const _: () = assert!(is_longer(LIVE_READ_STANDS, REQUEST_DEADLINE));
// A holder stops trusting its lease before another may take its slots over (P1); one renewal may fail before it does (P8).
const _: () = assert!(LEASE_TRUSTED < 100 && 2 * LEASE_RENEWED < LEASE_TRUSTED);

/// Whether a start may be sent at `now` whose slot was proven ours at `proven`.
pub fn is_proven(proven: Instant, now: Instant) -> bool {
    now.saturating_duration_since(proven) <= PROOF_LASTS
}

const fn is_longer(one: Duration, other: Duration) -> bool {
    one.as_millis() > other.as_millis()
}
