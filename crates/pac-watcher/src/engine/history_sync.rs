//! The past of each queue, kept in the store: taken up when this watcher begins to lead, written now and then and at the
//! end. For people alone, and outside of all that admits.

use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::DriverError;
use pac_kube::error::with_causes;
use pac_queue::history::History;
use tokio::time::{Instant, timeout};
use tracing::{debug, warn};

use super::Engine;

/// How soon the past is taken up after somebody leads.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often what happened is written: rarely enough for the stores that keep every version for a while.
const WRITE_EVERY: Duration = Duration::from_secs(120);
/// So many bytes a second are written at most, on average: etcd keeps them all until it compacts, and a week of many busy
/// repositories is some megabytes.
const BYTES_A_SECOND: usize = 64 * 1024;
/// How long the end of this watcher is held up by it.
const AT_THE_END: Duration = Duration::from_secs(2);

// === impl Engine ===

impl Engine {
    /// Takes up and writes, for ever.
    pub(super) async fn keep_pasts(self: Arc<Self>) {
        let mut next = Instant::now() + WRITE_EVERY;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.take_up_pasts().await;
            if Instant::now() >= next {
                let bytes = self.write_pasts().await;
                next = Instant::now() + pause_after(bytes);
            }
        }
    }

    /// Writes what is yet to be written, when this watcher ends or leads no more.
    pub(super) async fn write_last_pasts(&self) {
        let last = async {
            // Who led for a moment only may have made history before it took up what was there.
            self.take_up_pasts().await;
            self.write_pasts().await;
        };
        if timeout(AT_THE_END, last).await.is_err() {
            debug!("not all of the history could be written in time");
        }
    }

    async fn take_up_pasts(&self) {
        for repository in self.history.untaken() {
            match self.manager.past(&repository).await {
                Ok(past) => self.history.take_up(&repository, past.as_deref().and_then(History::parse)),
                // The store's troubles are told by those whose work depends on it.
                Err(error) => return debug!(%repository, error = with_causes(&error), "could not read what happened"),
            }
        }
    }

    /// Says how many bytes the store was given.
    async fn write_pasts(&self) -> usize {
        let mut bytes = 0;
        for (repository, past) in self.history.unwritten() {
            let text = past.text();
            bytes += text.len();
            match self.manager.keep_past(&repository, &text).await {
                Ok(()) => self.history.written(&repository, &past),
                Err(error @ (DriverError::Unavailable(_) | DriverError::Indeterminate(_))) => {
                    debug!(%repository, error = with_causes(&error), "could not write what happened");
                    break;
                }
                // One that the store won't have keeps no other from being written.
                Err(error) if self.history.refused_by_store(&repository) => {
                    warn!(%repository, error = with_causes(&error), "could not write what happened lately in {repository}; \
                           tried again with what happens next, and nothing but its history is missing");
                }
                Err(_) => {}
            }
        }
        bytes
    }
}

/// How long nothing is written after so many bytes were.
fn pause_after(bytes: usize) -> Duration {
    WRITE_EVERY.max(Duration::from_secs((bytes / BYTES_A_SECOND) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_written_less_often() {
        assert_eq!(pause_after(1_000_000), WRITE_EVERY);
        assert_eq!(pause_after(640 * 1024 * 1024), Duration::from_secs(10_240));
    }
}
