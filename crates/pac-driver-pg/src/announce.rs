//! Telling others what changed, besides the commits and not within them.
//!
//! A transaction that notifies holds a lock on the whole database's notifications while it commits, so that commits would
//! wait for one another's disk writes. Others may therefore miss what a process committed right before it was killed; they
//! find it in their next resync.

use std::collections::BTreeSet;
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::session::Sessions;

const NOTIFY: &str = include_str!("../sql/notify.sql");
/// How long changes are collected before they are told.
const COLLECT: Duration = Duration::from_millis(10);
/// How long to wait after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// Changes told at once.
const AT_ONCE: usize = 1024;

/// Where to put what changed.
#[derive(Debug, Clone)]
pub(crate) struct Announcer(mpsc::UnboundedSender<RepositoryKey>);

// === impl Announcer ===

impl Announcer {
    /// Starts telling; ends when the last clone is gone.
    pub(crate) fn start(sessions: Sessions, origin: String) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(tell(sessions, origin, receiver));
        Self(sender)
    }

    pub(crate) fn announce(&self, repository: &RepositoryKey) {
        // Nobody left to tell is no error.
        let _ = self.0.send(repository.clone());
    }
}

async fn tell(sessions: Sessions, origin: String, mut changed: mpsc::UnboundedReceiver<RepositoryKey>) {
    let mut untold: BTreeSet<RepositoryKey> = BTreeSet::new();
    let mut received = Vec::new();
    while changed.recv_many(&mut received, AT_ONCE).await > 0 {
        untold.extend(received.drain(..));
        sleep(COLLECT).await;
        while let Ok(repository) = changed.try_recv() {
            untold.insert(repository);
        }
        while !untold.is_empty() {
            let messages: Vec<String> = untold.iter().map(|repository| message(&origin, repository.as_str())).collect();
            if notify(&sessions, messages).await {
                untold.clear();
            } else if changed.is_closed() {
                return;
            } else {
                sleep(RETRY).await;
            }
        }
    }
}

/// Sends `messages`; whether that worked.
pub(crate) async fn notify(sessions: &Sessions, messages: Vec<String>) -> bool {
    sessions.read(sqlx::query(NOTIFY).bind(messages)).await.is_ok()
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
