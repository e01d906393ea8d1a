//! tokio's `Notify`, as far as the product makes use of it: one permit at most, waiters in turn, and a waiter that was notified and
//! is dropped passes it on.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use shuttle::sync::{Mutex, MutexGuard};

/// The stand-in for the runtime's `Notify`: a task waits here until another wakes it.
#[derive(Debug, Default)]
pub struct Notify(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    permit: bool,
    last: u64,
    waiting: VecDeque<(u64, Waker)>,
    notified: Vec<u64>,
}

/// A wait.
#[derive(Debug)]
pub struct Notified<'a> {
    notify: &'a Notify,
    number: Option<u64>,
    is_over: bool,
}

// === impl Notify ===

impl Notify {
    /// Wakes the first that waits; if none does, the next to wait needn't.
    pub fn notify_one(&self) {
        let first = {
            let mut state = self.state();
            match state.waiting.pop_front() {
                Some((number, waker)) => {
                    state.notified.push(number);
                    Some(waker)
                }
                None => {
                    state.permit = true;
                    None
                }
            }
        };
        first.into_iter().for_each(Waker::wake);
    }

    /// Waits for a notification.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, number: None, is_over: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.notify.state();
        let is_notified = match self.number {
            None => std::mem::take(&mut state.permit),
            Some(number) => state.take_notified(number),
        };
        if is_notified {
            drop(state);
            self.is_over = true;
            return Poll::Ready(());
        }
        let number = self.number.unwrap_or(state.last + 1);
        state.last = state.last.max(number);
        let waker = context.waker().clone();
        match state.waiting.iter_mut().find(|(other, _)| *other == number) {
            Some((_, before)) => *before = waker,
            None => state.waiting.push_back((number, waker)),
        }
        drop(state);
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number.filter(|_| !self.is_over) else { return };
        let passes_on = {
            let mut state = self.notify.state();
            state.waiting.retain(|(other, _)| *other != number);
            state.take_notified(number)
        };
        if passes_on {
            self.notify.notify_one();
        }
    }
}

// === impl State ===

impl State {
    fn take_notified(&mut self, number: u64) -> bool {
        let before = self.notified.len();
        self.notified.retain(|other| *other != number);
        self.notified.len() < before
    }
}
