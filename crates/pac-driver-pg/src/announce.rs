//! Telling others what changed, besides the commits and not within them.
//!
//! A transaction that notifies holds a lock on the whole database's notifications while it commits, so that commits would
//! wait for one another's disk writes. Others may therefore miss what a process committed right before it was killed; they
//! find it in their next resync.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::sessions::Sessions;
use crate::statement::Statement;

const NOTIFY: &str = include_str!("../sql/notify.sql");
/// How long changes are collected before they are told.
const COLLECT: Duration = Duration::from_millis(10);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// Where to put what changed. Grows no larger than there are repositories, however long nobody can be told.
#[derive(Debug, Clone)]
pub(crate) struct Announcer {
    untold: Untold,
    wake: mpsc::Sender<()>,
}

type Untold = Arc<Mutex<BTreeSet<RepositoryKey>>>;

// === impl Announcer ===

impl Announcer {
    /// Starts telling; ends when the last clone is gone.
    pub(crate) fn start(sessions: Sessions, origin: String) -> Self {
        let (wake, woken) = mpsc::channel(1);
        let untold = Untold::default();
        tokio::spawn(tell(sessions, origin, Arc::clone(&untold), woken));
        Self { untold, wake }
    }

    pub(crate) fn announce(&self, repository: &RepositoryKey) {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner).insert(repository.clone());
        // If it is full there will be a look anyway; nobody left to tell is no error.
        let _ = self.wake.try_send(());
    }
}

async fn tell(sessions: Sessions, origin: String, untold: Untold, mut woken: mpsc::Receiver<()>) {
    while woken.recv().await.is_some() {
        sleep(COLLECT).await;
        let changed = std::mem::take(&mut *untold.lock().unwrap_or_else(PoisonError::into_inner));
        let messages: Vec<String> = changed.iter().map(|repository| message(&origin, repository.as_str())).collect();
        while !messages.is_empty() && !notify(&sessions, &messages).await {
            if woken.is_closed() {
                return;
            }
            sleep(RETRY).await;
        }
    }
}

/// Sends `messages`; whether that worked.
pub(crate) async fn notify(sessions: &Sessions, messages: &[String]) -> bool {
    sessions.read(Statement::new(NOTIFY).texts(messages.iter().map(String::as_str).collect())).await.is_ok()
}

/// What is sent: who says it, and what about.
pub(crate) fn message(origin: &str, subject: &str) -> String {
    format!("{origin} {subject}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_who_and_what() {
        assert_eq!(message("me", "ns/repo").split_once(' '), Some(("me", "ns/repo")));
    }
}
