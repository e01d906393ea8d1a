//! Hearing what others changed.
//!
//! One connection listens. Whether what is sent arrives is tried at once and every few seconds again, because both a
//! silent network and a transaction pooler take messages without a word. Where they don't arrive, versions are compared
//! every few seconds instead. Whenever something may have been missed, the word is to look at everything.

use std::collections::BTreeMap;
use std::time::Duration;

use pac_concurrency::{Change, RepositoryKey};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info};

use crate::announce::{message, notify};
use crate::row;
use crate::session::Sessions;

const CHANNEL: &str = "pac_concurrency";
const REPOSITORIES: &str = include_str!("../sql/repositories.sql");
/// What a message is about when it only tries the way. No repository is called so.
const TRIAL: &str = "trial";
/// How long a message may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
/// How often the way is tried.
const TRY_EVERY: Duration = Duration::from_secs(20);
/// How often versions are compared where messages don't arrive.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long to wait before connecting again.
const RETRY: Duration = Duration::from_secs(1);
/// Changes kept for a reader that is slow.
pub(crate) const KEPT: usize = 1024;

/// Who listens, and how it can.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) sessions: Sessions,
    /// For the connection that listens; none through a pooler, or if the settings allow but one, which is needed for work.
    pub(crate) options: Option<PgConnectOptions>,
    /// The driver's own messages are known by it.
    pub(crate) origin: String,
}

/// Why listening ended.
enum Ended {
    /// Nobody reads any more.
    Unread,
    /// The connection broke, or could not be had.
    Broken,
    /// Connected, and messages don't arrive.
    Deaf,
}

// === impl Listener ===

impl Listener {
    /// Sends what others change to `changes`, until nobody reads it.
    pub(crate) async fn run(self, changes: mpsc::Sender<Change>) {
        let mut polling = self.options.is_none();
        while !changes.is_closed() {
            let ended = if polling { self.poll(&changes).await } else { self.listen(&changes).await };
            match ended {
                Ended::Unread => return,
                Ended::Deaf => polling = true,
                Ended::Broken => {
                    polling = self.options.is_none();
                    tokio::select! {
                        () = changes.closed() => return,
                        () = sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    async fn listen(&self, changes: &mpsc::Sender<Change>) -> Ended {
        let Some(mut connection) = self.connect().await else { return Ended::Broken };
        let mut way = Way::new();
        loop {
            if way.trial_is_due() {
                let trial = vec![message(&self.origin, TRIAL)];
                if !notify(&self.sessions, trial).await {
                    return Ended::Broken;
                }
                way.trial_sent();
            }
            let received = tokio::select! {
                () = changes.closed() => return Ended::Unread,
                received = timeout_at(way.next(), connection.try_recv()) => received,
            };
            match received {
                Ok(Ok(Some(notification))) => match notification.payload().split_once(' ') {
                    Some((origin, TRIAL)) if origin == self.origin => {
                        if way.trial_arrived() {
                            info!("changes by other watchers: heard of through LISTEN/NOTIFY");
                            // What was changed before this moment went unheard.
                            if changes.send(Change::Resync).await.is_err() {
                                return Ended::Unread;
                            }
                        }
                    }
                    Some((_, TRIAL)) | None => {}
                    Some((origin, _)) if origin == self.origin => {}
                    Some((_, subject)) => {
                        if send(changes, subject).await.is_err() {
                            return Ended::Unread;
                        }
                    }
                },
                Ok(Ok(None) | Err(_)) => return Ended::Broken,
                Err(_) if !way.is_overdue() => {}
                Err(_) if way.worked => return Ended::Broken,
                Err(_) => {
                    self.sessions.set_pooled(true);
                    // Where it went, it may have stayed behind.
                    let _ = connection.unlisten_all().await;
                    return Ended::Deaf;
                }
            }
        }
    }

    async fn connect(&self) -> Option<PgListener> {
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(ARRIVES_WITHIN);
        let pool = pool.test_before_acquire(false).connect_lazy_with(self.options.clone()?);
        let connected = timeout(ARRIVES_WITHIN, async {
            let mut connection = PgListener::connect_with(&pool).await?;
            // Reconnecting by itself, it would not say that messages were missed.
            connection.eager_reconnect(false);
            connection.listen(CHANNEL).await?;
            Ok::<_, sqlx::Error>(connection)
        });
        match connected.await {
            Ok(Ok(connection)) => Some(connection),
            Ok(Err(error)) => {
                debug!(%error, "can't listen");
                None
            }
            Err(_) => None,
        }
    }

    async fn poll(&self, changes: &mpsc::Sender<Change>) -> Ended {
        info!(
            "changes by other watchers: looked for every {} s, not heard of through LISTEN/NOTIFY (there is a transaction \
             pooler, or postgresql-max-connections is 1)",
            POLL_EVERY.as_secs()
        );
        let mut known: Option<BTreeMap<RepositoryKey, i64>> = None;
        loop {
            let Ok(rows) = self.sessions.read(sqlx::query(REPOSITORIES)).await else { return Ended::Broken };
            let Ok((versions, _)) = row::repositories(&rows) else { return Ended::Broken };
            let versions: BTreeMap<_, _> = versions.into_iter().collect();
            let changed: Vec<Change> = match &known {
                None => vec![Change::Resync],
                Some(before) => differences(before, &versions),
            };
            known = Some(versions);
            for change in changed {
                if changes.send(change).await.is_err() {
                    return Ended::Unread;
                }
            }
            tokio::select! {
                () = changes.closed() => return Ended::Unread,
                () = sleep(POLL_EVERY) => {}
            }
        }
    }
}

/// Whether messages get through.
struct Way {
    worked: bool,
    sent: Option<Instant>,
    next_trial: Instant,
}

// === impl Way ===

impl Way {
    fn new() -> Self {
        Self { worked: false, sent: None, next_trial: Instant::now() }
    }

    fn trial_is_due(&self) -> bool {
        self.sent.is_none() && Instant::now() >= self.next_trial
    }

    fn trial_sent(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// Whether it is the first that arrived.
    fn trial_arrived(&mut self) -> bool {
        self.sent = None;
        self.next_trial = Instant::now() + TRY_EVERY;
        !std::mem::replace(&mut self.worked, true)
    }

    fn next(&self) -> Instant {
        self.sent.map_or(self.next_trial, |sent| sent + ARRIVES_WITHIN)
    }

    fn is_overdue(&self) -> bool {
        self.sent.is_some_and(|sent| sent.elapsed() >= ARRIVES_WITHIN)
    }
}

async fn send(changes: &mpsc::Sender<Change>, subject: &str) -> Result<(), mpsc::error::SendError<Change>> {
    match subject.parse() {
        Ok(repository) => changes.send(Change::Repository(repository)).await,
        // Anybody with access to the database can send anything.
        Err(error) => {
            debug!(%error, "a message that names no repository");
            Ok(())
        }
    }
}

fn differences(before: &BTreeMap<RepositoryKey, i64>, now: &BTreeMap<RepositoryKey, i64>) -> Vec<Change> {
    let changed = now.iter().filter(|(repository, version)| before.get(*repository) != Some(version));
    let gone = before.iter().filter(|(repository, _)| !now.contains_key(*repository));
    changed.chain(gone).map(|(repository, _)| Change::Repository(repository.clone())).collect()
}
