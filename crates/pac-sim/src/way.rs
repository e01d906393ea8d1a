//! One watcher's way to everything outside of its process.
//!
//! A process that is killed and one that is cut off from all there is are the same to everybody else. So a watcher is killed by closing its
//! way for good, at whatever moment: what it has sent goes on, what it sends from then on arrives nowhere, and no answer reaches it.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Way {
    /// The number of the watcher.
    pub(crate) number: usize,
    /// Its name, another for each process.
    pub(crate) identity: String,
    is_closed: watch::Sender<bool>,
    /// How often its watches were cut.
    cuts: watch::Sender<u64>,
    /// Until when the answers of its watches are held back.
    lags_until: Mutex<Option<Instant>>,
    /// Until when nothing gets out or in.
    held_until: Mutex<Option<Instant>>,
}

// === impl Way ===

impl Way {
    pub(crate) fn new(number: usize, identity: String) -> Self {
        Self {
            number,
            identity,
            is_closed: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            lags_until: Mutex::new(None),
            held_until: Mutex::new(None),
        }
    }

    /// The process is gone.
    pub(crate) fn close(&self) {
        self.is_closed.send_replace(true);
    }

    /// What comes of `exchange`; never anything once the process is gone.
    pub(crate) async fn while_open<T>(&self, exchange: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            () = self.closed() => std::future::pending().await,
            done = exchange => done,
        }
    }

    async fn closed(&self) {
        // The sender is this very value's: it is there.
        let _ = self.is_closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// All watches are cut.
    pub(crate) fn cut_watches(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// What watches say arrives so much later.
    pub(crate) fn lag(&self, lasts: Duration) {
        *self.lags_until.lock() = Some(Instant::now() + lasts);
    }

    /// For so long nothing gets out or in: what is to be sent waits, and so do answers, of the API server and of the store.
    pub(crate) fn hold(&self, lasts: Duration) {
        *self.held_until.lock() = Some(Instant::now() + lasts);
    }

    /// Nothing is held back any more.
    pub(crate) fn catch_up(&self) {
        *self.lags_until.lock() = None;
        *self.held_until.lock() = None;
    }

    /// Waits as long as watches are held back.
    pub(crate) async fn lagging(&self) {
        wait_out(&self.lags_until).await;
    }

    /// Waits as long as everything is held.
    pub(crate) async fn held(&self) {
        wait_out(&self.held_until).await;
    }
}

/// Waits until the time that `until` says; it may be called off meanwhile.
async fn wait_out(until: &Mutex<Option<Instant>>) {
    loop {
        let now = Instant::now();
        let Some(until) = until.lock().filter(|until| *until > now) else { return };
        // Asked again now and then.
        tokio::time::sleep_until(until.min(now + Duration::from_millis(250))).await;
    }
}
