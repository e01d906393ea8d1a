//! A clock that goes on when a thread says so.

use std::ops::Add;
use std::sync::PoisonError;
use std::task::{Poll, Waker};
use std::time::Duration;

use shuttle::sync::Mutex;

/// A time, since the beginning of the execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

#[derive(Debug, Default)]
struct Clock {
    now: Duration,
    sleepers: Vec<Waker>,
}

shuttle::lazy_static! {
    // One for each execution.
    static ref CLOCK: Mutex<Clock> = Mutex::new(Clock::default());
}

/// Moves the clock on, and wakes whoever sleeps.
pub fn pass_time(by: Duration) {
    let sleepers = {
        let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        clock.now += by;
        std::mem::take(&mut clock.sleepers)
    };
    sleepers.into_iter().for_each(Waker::wake);
}

/// Waits until it is that late.
pub async fn sleep_until(when: Instant) {
    futures::future::poll_fn(|context| {
        let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
        if clock.now >= when.0 {
            return Poll::Ready(());
        }
        clock.sleepers.push(context.waker().clone());
        Poll::Pending
    })
    .await;
}

// === impl Instant ===

impl Instant {
    /// Now.
    pub fn now() -> Self {
        Self(CLOCK.lock().unwrap_or_else(PoisonError::into_inner).now)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0 + by)
    }
}
