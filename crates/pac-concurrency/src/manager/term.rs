//! This watcher's own term: its lease, and how far it trusts it.
//!
//! Trust ends before the store's patience does: it is counted from before the renewal was sent, and for less than the
//! lease lasts. A watcher that can't renew stops admitting before another may take its slots over.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{timed, untrusted};
use crate::driver::Driver;
use crate::error::DriverError;
use crate::lease::{Holder, Renewal};
use crate::metrics;
use crate::protocol::LEASE_TRUSTED;
use crate::sync::{Mutex, MutexGuard, PoisonError};

/// What came of keeping the term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TermEvent {
    /// A new term began: the first one, or the last one was lost.
    Began,
    /// The lease was renewed.
    Renewed,
}

#[derive(Debug)]
pub(super) struct Term {
    identity: String,
    lease_ttl: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    trust: Trust,
}

/// How far a watcher relies on its lease.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust {
    until: Option<Instant>,
    ended: bool,
}

// === impl Term ===

impl Term {
    pub(super) fn new(identity: &str, lease_ttl: Duration) -> Self {
        let state = State { holder: Holder::new(identity), trust: Trust::default() };
        Self { identity: identity.to_owned(), lease_ttl, state: Mutex::new(state) }
    }

    pub(super) fn holder(&self) -> Holder {
        self.state().holder.clone()
    }

    /// The holder, if its lease can be relied on now.
    pub(super) fn trusted(&self) -> Result<Holder, DriverError> {
        let state = self.state();
        if state.trust.lasts_at(Instant::now()) { Ok(state.holder.clone()) } else { Err(untrusted()) }
    }

    pub(super) async fn keep(&self, driver: &dyn Driver) -> Result<TermEvent, DriverError> {
        let asked = Instant::now();
        let (mut holder, began) = {
            let state = self.state();
            (state.holder.clone(), state.trust.until.is_some())
        };
        if began {
            match timed(driver, "renew", driver.renew(&holder)).await? {
                Renewal::Renewed => {
                    self.trust(holder, asked);
                    return Ok(TermEvent::Renewed);
                }
                Renewal::Lost => {
                    metrics::lease_lost();
                    warn!(%holder, "lost the lease behind this watcher's slots; beginning a new term");
                    holder = Holder::new(&self.identity);
                }
            }
        }
        // A begin whose answer was lost is begun again: the term is the same.
        timed(driver, "begin", driver.begin(&holder)).await?;
        self.trust(holder, asked);
        Ok(TermEvent::Began)
    }

    /// Stops trusting the lease for good, and says whose it was.
    pub(super) fn end(&self) -> Holder {
        let mut state = self.state();
        state.trust.ended = true;
        state.holder.clone()
    }

    fn trust(&self, holder: Holder, asked: Instant) {
        let mut state = self.state();
        state.holder = holder;
        state.trust.renew(asked, self.lease_ttl);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Trust ===

impl Trust {
    /// Takes in that the store granted or renewed a lease of this length, asked for at `asked`.
    pub fn renew(&mut self, asked: Instant, lease_ttl: Duration) {
        self.until = Some(asked + lease_ttl * LEASE_TRUSTED / 100);
    }

    /// For how long it can be relied on from `now` on.
    #[cfg(feature = "model")]
    pub fn left_at(&self, now: Instant) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(now))
    }

    /// Whether the lease can be relied on at `now`.
    pub fn lasts_at(&self, now: Instant) -> bool {
        !self.ended && self.until.is_some_and(|until| now < until)
    }
}
