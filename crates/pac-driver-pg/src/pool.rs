//! Connections that calls share, each used by one call at a time.
//!
//! A call either gives its connection back whole, or it is let go: there is nothing to wait for in between, so that a
//! connection whose other end keeps silent holds up nobody. When one broke, those that lie idle have most likely broken
//! with it, and are let go, too. One that lay idle for long is tried before it is used.

use std::sync::Arc;
use std::time::Duration;

use pac_concurrency::{Connections, DriverError, Fault, Waiters};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// A connection that lay idle for so long is tried before it is used: something on the way may have dropped it.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(10);
/// How long such a trial may take.
const TRIAL_WITHIN: Duration = Duration::from_secs(1);

/// How connections are opened, and what is asked of them while they are idle.
pub(crate) trait Open: Send + Sync + 'static {
    type Connection: Send;

    /// A connection that works. The pool sets the deadline.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, DriverError>> + Send;

    /// Whether it is known to be of no use any more, without asking anybody.
    fn is_closed(connection: &Self::Connection) -> bool;

    /// Whether the other end answers. The pool sets the deadline.
    fn answers(connection: &mut Self::Connection) -> impl Future<Output = bool> + Send;

    /// No connection came about in time.
    fn too_late(&self, within: Duration) -> DriverError;
}

/// The connections to one server.
pub(crate) struct Pool<O: Open> {
    opener: O,
    most: u32,
    /// How long a call waits for a connection.
    patience: Duration,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Idle<O::Connection>>>>,
    waiters: Waiters,
    /// Why no connection could be opened, if that was so the last time.
    failure: Mutex<Option<String>>,
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

/// A connection for one call. Unless it is given back, it is let go.
pub(crate) struct Lent<C> {
    pub(crate) connection: C,
    idle: Arc<Mutex<Vec<Idle<C>>>>,
    _permit: OwnedSemaphorePermit,
}

// === impl Pool ===

impl<O: Open> Pool<O> {
    /// At most `most` connections, for each of which a call waits `patience`.
    pub(crate) fn new(opener: O, most: u32, patience: Duration) -> Self {
        Self {
            opener,
            most,
            patience,
            permits: Arc::new(Semaphore::new(most as usize)),
            idle: Arc::default(),
            waiters: Waiters::default(),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn opener(&self) -> &O {
        &self.opener
    }

    /// A connection, as soon as there is one.
    pub(crate) async fn connection(&self) -> Result<Lent<O::Connection>, DriverError> {
        let _waiter = self.waiters.enter();
        let until = Instant::now() + self.patience;
        let permit = match timeout_at(until, Arc::clone(&self.permits).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(self.all_in_use()),
        };
        let connection = match self.idle_connection().await {
            Some(connection) => connection,
            None => self.new_connection(until).await?,
        };
        Ok(Lent { connection, idle: Arc::clone(&self.idle), _permit: permit })
    }

    async fn idle_connection(&self) -> Option<O::Connection> {
        loop {
            // The one that was used last: those not needed grow old, and are tried or replaced.
            let Idle { mut connection, since } = self.idle.lock().pop()?;
            if O::is_closed(&connection) {
                continue;
            }
            if since.elapsed() < TRY_AFTER_IDLE {
                return Some(connection);
            }
            if matches!(timeout(TRIAL_WITHIN, O::answers(&mut connection)).await, Ok(true)) {
                return Some(connection);
            }
            self.note_broken();
        }
    }

    async fn new_connection(&self, until: Instant) -> Result<O::Connection, DriverError> {
        let opened = match timeout_at(until, self.opener.open()).await {
            Ok(opened) => opened,
            Err(_) => Err(self.opener.too_late(self.patience)),
        };
        *self.failure.lock() = opened.as_ref().err().map(|error| match error {
            DriverError::Unavailable(_) | DriverError::Rejected(_) => error.reason().to_owned(),
            other => other.to_string(),
        });
        opened
    }

    /// While no connection can be opened that is the cause; otherwise there is too much to do.
    fn all_in_use(&self) -> DriverError {
        let what = self.failure.lock().clone().unwrap_or_else(|| {
            format!(
                "all connections (postgresql-max-connections) were in use for {:?} (postgresql-connection-timeout)",
                self.patience
            )
        });
        DriverError::Unavailable(Fault::new(what))
    }

    /// A connection broke: those that are idle are not trusted any more.
    pub(crate) fn note_broken(&self) {
        self.idle.lock().clear();
    }

    /// The connections calls go through, at this moment.
    pub(crate) fn connections(&self) -> Connections {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(self.most);
        let idle = u32::try_from(self.idle.lock().len()).unwrap_or(u32::MAX);
        Connections { most: self.most, in_use: self.most.saturating_sub(free), idle, waiting: self.waiters.count() }
    }
}

// === impl Lent ===

impl<C> Lent<C> {
    /// Gives it back: its answer came whole, and another call may use it.
    pub(crate) fn give_back(self) {
        self.idle.lock().push(Idle { connection: self.connection, since: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// A server of the test's: how often it was connected to, and whether it answers, or refuses.
    #[derive(Default)]
    struct Server {
        opened: AtomicUsize,
        is_silent: AtomicBool,
        refuses: AtomicBool,
    }

    struct Opener(Arc<Server>);

    /// The number of a connection, and its server.
    type Connection = (usize, Arc<Server>);

    impl Open for Opener {
        type Connection = Connection;

        async fn open(&self) -> Result<Connection, DriverError> {
            if self.0.refuses.load(Relaxed) {
                return Err(DriverError::Unavailable(Fault::new("Connection refused")));
            }
            Ok((self.0.opened.fetch_add(1, Relaxed), Arc::clone(&self.0)))
        }

        fn is_closed((_, _): &Connection) -> bool {
            false
        }

        async fn answers((number, server): &mut Connection) -> bool {
            // What was opened before it fell silent never answers.
            if server.is_silent.load(Relaxed) && *number < 2 { std::future::pending().await } else { true }
        }

        fn too_late(&self, _: Duration) -> DriverError {
            DriverError::Unavailable(Fault::new("too late"))
        }
    }

    fn pool(most: u32) -> (Arc<Server>, Pool<Opener>) {
        let server = Arc::<Server>::default();
        (Arc::clone(&server), Pool::new(Opener(server), most, Duration::from_secs(30)))
    }

    /// Uses `count` connections at once, and gives them back; their numbers.
    async fn use_at_once(pool: &Pool<Opener>, count: usize) -> Vec<usize> {
        let mut lent = Vec::new();
        for _ in 0..count {
            lent.push(pool.connection().await.unwrap());
        }
        let numbers = lent.iter().map(|lent| lent.connection.0).collect();
        lent.into_iter().for_each(Lent::give_back);
        numbers
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_given_back_is_used_again_and_one_that_is_not_is_replaced() {
        let (server, pool) = pool(1);
        pool.connection().await.unwrap().give_back();
        drop(pool.connection().await.unwrap());
        assert_eq!(server.opened.load(Relaxed), 1);
        assert_eq!(pool.connection().await.unwrap().connection.0, 1, "the one that was let go is not used again");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_died_in_silence_are_replaced_within_a_trial_of_one() {
        let (server, pool) = pool(2);
        assert_eq!(use_at_once(&pool, 2).await, [0, 1]);
        server.is_silent.store(true, Relaxed);
        tokio::time::advance(TRY_AFTER_IDLE).await;
        let began = Instant::now();
        assert_eq!(use_at_once(&pool, 2).await, [2, 3]);
        assert_eq!(began.elapsed(), TRIAL_WITHIN);
        assert_eq!(pool.connections(), Connections { most: 2, in_use: 0, idle: 2, waiting: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn once_one_broke_those_that_are_idle_are_not_used_any_more() {
        let (_, pool) = pool(3);
        assert_eq!(use_at_once(&pool, 3).await, [0, 1, 2]);
        let broken = pool.connection().await.unwrap();
        pool.note_broken();
        drop(broken);
        assert_eq!(use_at_once(&pool, 3).await, [3, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_given_up_lets_its_connection_go() {
        let (_, pool) = pool(1);
        let call = async {
            let _lent = pool.connection().await.unwrap();
            std::future::pending::<()>().await;
        };
        assert!(timeout(Duration::from_secs(5), call).await.is_err());
        assert_eq!(pool.connection().await.unwrap().connection.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_connections_from_being_opened_is_the_one_cause_that_is_given() {
        let (server, pool) = pool(1);
        let held = pool.connection().await.unwrap();
        let busy = pool.connection().await.err().unwrap().to_string();
        assert!(busy.contains("postgresql-max-connections"), "{busy}");
        drop(held);
        server.refuses.store(true, Relaxed);
        let refused = pool.connection().await.err().unwrap().to_string();
        assert!(refused.contains("Connection refused"), "{refused}");
        let _taken = Arc::clone(&pool.permits).acquire_owned().await.unwrap();
        assert_eq!(pool.connection().await.err().unwrap().to_string(), refused);
    }
}
