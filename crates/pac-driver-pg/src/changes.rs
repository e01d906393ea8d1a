//! Hearing what others changed.
//!
//! One connection listens. Whether what is sent arrives is tried at once and every few seconds again, because both a
//! silent network and a transaction pooler take messages without a word. Where they don't arrive, or there is no connection
//! to be had for it, versions are compared every few seconds instead. Whenever something may have been missed, the word is
//! to look at everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{DriverError, News, RepositoryKey, StoreEvent};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use crate::announce::{message, notify};
use crate::connect::{Connector, within};
use crate::row;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::statement::Statement;

const LISTEN: &str = "LISTEN pac_concurrency";
const REPOSITORIES: &str = include_str!("../sql/repositories.sql");
/// What a message is about when it only tries the way. No repository is called so.
const TRIAL: &str = "trial";
/// How long a message may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);
/// How often the way is tried.
const TRY_EVERY: Duration = Duration::from_secs(20);
/// How often versions are compared where messages don't arrive.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// How long versions are compared before listening is tried again, where it may work.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(20);
/// How long to wait before connecting again.
const RETRY: Duration = Duration::from_secs(1);
/// Changes kept for a reader that is slow.
pub(crate) const KEPT: usize = 1024;

/// Who listens, and how it can.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) sessions: Sessions,
    /// For the connection that listens; none through a pooler, or if the settings allow but one, which is needed for work.
    pub(crate) connector: Option<Arc<Connector>>,
    /// The driver's own messages are known by it.
    pub(crate) origin: String,
    /// Where it is said how changes are learned of.
    pub(crate) news: LatestNews,
}

/// How changes are learned of now, where it is meant to be by listening.
pub(crate) type LatestNews = Arc<Mutex<Option<News>>>;

/// Why listening, or comparing, ended.
enum Ended {
    /// Nobody reads any more.
    Unread,
    /// The connection broke, or could not be had.
    Broken(String),
    /// Connected, and messages don't arrive.
    Deaf,
    /// It is time to try whether listening works again.
    Due,
}

/// In which way others' changes are learned of; a person is told when it changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Means {
    #[default]
    Unknown,
    Hearing,
    Comparing,
}

/// The versions that were compared last.
type Versions = Option<BTreeMap<RepositoryKey, i64>>;

// === impl Listener ===

impl Listener {
    /// Sends what others change to `changes`, until nobody reads it.
    pub(crate) async fn run(self, changes: mpsc::Sender<StoreEvent>) {
        let mut means = Means::default();
        let mut versions = None;
        let mut is_deaf = self.connector.is_none();
        while !changes.is_closed() {
            let why_not = if is_deaf { None } else { Some(self.listen(&changes, &mut means).await) };
            let why_not = match why_not {
                Some(Ended::Unread) => return,
                Some(Ended::Broken(why)) => Some(why),
                Some(Ended::Deaf | Ended::Due) => {
                    is_deaf = true;
                    None
                }
                None => None,
            };
            if means == Means::Hearing {
                versions = None;
            }
            match self.compare(&changes, &mut versions, why_not, &mut means).await {
                Ended::Unread => return,
                Ended::Due => {}
                // Whoever answers next may pass messages on.
                Ended::Broken(_) | Ended::Deaf => {
                    is_deaf = self.connector.is_none();
                    versions = None;
                    tokio::select! {
                        () = changes.closed() => return,
                        () = sleep(RETRY) => {}
                    }
                }
            }
        }
    }

    async fn listen(&self, changes: &mpsc::Sender<StoreEvent>, means: &mut Means) -> Ended {
        let (mut session, mut heard) = match self.connect().await {
            Ok(connected) => connected,
            Err(error) => return Ended::Broken(error.reason().to_owned()),
        };
        let broke = |what: &str| Ended::Broken(format!("the connection that listens {what}"));
        let mut way = Way::new();
        loop {
            if way.trial_is_due() {
                if !notify(&self.sessions, &[message(&self.origin, TRIAL)]).await {
                    return broke("can't be tried");
                }
                way.trial_sent();
            }
            let received = tokio::select! {
                () = changes.closed() => return Ended::Unread,
                received = timeout_at(way.next(), heard.recv()) => received,
            };
            match received {
                Ok(Some(payload)) => match payload.split_once(' ') {
                    Some((origin, TRIAL)) if origin == self.origin => {
                        if way.trial_arrived() {
                            *self.news.lock() = Some(News::Heard);
                            if std::mem::replace(means, Means::Hearing) != Means::Hearing {
                                info!("changes by other watchers: heard of through LISTEN/NOTIFY");
                            }
                            // What was changed before this moment went unheard.
                            if changes.send(StoreEvent::Resync).await.is_err() {
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
                Ok(None) => return broke("broke"),
                Err(_) if !way.is_overdue() => {}
                Err(_) if way.worked => return broke("went silent"),
                Err(_) => {
                    self.sessions.set_pooled(true);
                    // Where it went, it may have stayed behind.
                    let _ = timeout(ARRIVES_WITHIN, session.execute("UNLISTEN *")).await;
                    return Ended::Deaf;
                }
            }
        }
    }

    /// A session that listens, and what it hears.
    async fn connect(&self) -> Result<(Session, mpsc::UnboundedReceiver<String>), DriverError> {
        let Some(connector) = &self.connector else {
            return Err(self.sessions.server().silent_within(crate::error::CallStage::Connecting, Duration::ZERO));
        };
        let (sender, heard) = mpsc::unbounded_channel();
        let mut session = connector.listening_session(sender).await?;
        let server = Arc::clone(&session.server);
        within(ARRIVES_WITHIN, &server, session.execute(LISTEN)).await?;
        Ok((session, heard))
    }

    /// Compares versions until that fails, or, where it is done for want of a connection that listens (`why_not`), until
    /// it is time to try that again.
    async fn compare(
        &self,
        changes: &mpsc::Sender<StoreEvent>,
        known: &mut Versions,
        why_not: Option<String>,
        means: &mut Means,
    ) -> Ended {
        let due = Instant::now() + LISTEN_AGAIN_AFTER;
        loop {
            let versions = match self.versions().await {
                Ok(versions) => versions,
                Err(why) => return Ended::Broken(why),
            };
            *self.news.lock() = why_not.clone().map(|why| News::LookedFor { why });
            if std::mem::replace(means, Means::Comparing) != Means::Comparing {
                tell_of_comparing(why_not.as_deref());
            }
            let changed: Vec<StoreEvent> = match known {
                None => vec![StoreEvent::Resync],
                Some(before) => differences(before, &versions),
            };
            *known = Some(versions);
            for change in changed {
                if changes.send(change).await.is_err() {
                    return Ended::Unread;
                }
            }
            if why_not.is_some() && Instant::now() >= due {
                return Ended::Due;
            }
            tokio::select! {
                () = changes.closed() => return Ended::Unread,
                () = sleep(POLL_EVERY) => {}
            }
        }
    }

    async fn versions(&self) -> Result<BTreeMap<RepositoryKey, i64>, String> {
        let rows = self.sessions.read(Statement::new(REPOSITORIES)).await.map_err(|error| error.reason().to_owned())?;
        let (versions, _) = row::repositories(&rows).map_err(|error| error.to_string())?;
        Ok(versions.into_iter().collect())
    }
}

fn tell_of_comparing(why_not: Option<&str>) {
    let every = POLL_EVERY.as_secs();
    match why_not {
        None => info!(
            "changes by other watchers: looked for every {every} s, not heard of through LISTEN/NOTIFY (there is a \
             transaction pooler, or postgresql-max-connections is 1)"
        ),
        Some(why) => warn!(
            why,
            "changes by other watchers: looked for every {every} s, because there is no connection to listen on; it is tried \
             again every {} s",
            LISTEN_AGAIN_AFTER.as_secs()
        ),
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

async fn send(changes: &mpsc::Sender<StoreEvent>, subject: &str) -> Result<(), mpsc::error::SendError<StoreEvent>> {
    match subject.parse() {
        Ok(repository) => changes.send(StoreEvent::Repository(repository)).await,
        // Anybody with access to the database can send anything.
        Err(error) => {
            debug!(%error, "a message that names no repository");
            Ok(())
        }
    }
}

fn differences(before: &BTreeMap<RepositoryKey, i64>, now: &BTreeMap<RepositoryKey, i64>) -> Vec<StoreEvent> {
    let changed = now.iter().filter(|(repository, version)| before.get(*repository) != Some(version));
    let gone = before.iter().filter(|(repository, _)| !now.contains_key(*repository));
    changed.chain(gone).map(|(repository, _)| StoreEvent::Repository(repository.clone())).collect()
}
