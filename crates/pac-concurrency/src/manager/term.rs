//! This watcher's own term: its lease, and how far it trusts it.
//!
//! Trust ends before the store's patience does: it is counted from before the renewal was sent, and for less than the
//! lease lasts. A watcher that can't renew stops admitting before another may take its slots over.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::{timed, untrusted};
use crate::driver::Driver;
use crate::error::DriverError;
use crate::lease::{Holder, Renewal};
use crate::metrics;
use crate::protocol::LEASE_TRUSTED;

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
    trusted_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    holder: Holder,
    trusted_until: Option<Instant>,
    ended: bool,
}

// === impl Term ===

impl Term {
    pub(super) fn new(identity: &str, lease_ttl: Duration) -> Self {
        let state = State { holder: Holder::new(identity), trusted_until: None, ended: false };
        Self { identity: identity.to_owned(), trusted_for: lease_ttl * LEASE_TRUSTED / 100, state: Mutex::new(state) }
    }

    pub(super) fn holder(&self) -> Holder {
        self.state().holder.clone()
    }

    /// The holder, if its lease can be relied on now.
    pub(super) fn trusted(&self) -> Result<Holder, DriverError> {
        let state = self.state();
        match state.trusted_until {
            Some(until) if Instant::now() < until && !state.ended => Ok(state.holder.clone()),
            _ => Err(untrusted()),
        }
    }

    pub(super) async fn keep(&self, driver: &dyn Driver) -> Result<TermEvent, DriverError> {
        let asked = Instant::now();
        let (mut holder, began) = {
            let state = self.state();
            (state.holder.clone(), state.trusted_until.is_some())
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
        state.ended = true;
        state.holder.clone()
    }

    fn trust(&self, holder: Holder, asked: Instant) {
        let mut state = self.state();
        state.holder = holder;
        state.trusted_until = Some(asked + self.trusted_for);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
