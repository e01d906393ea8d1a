//! How a statement is run: on a connection of the pool, within a deadline, with an outcome of the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use log::LevelFilter;
use pac_concurrency::{Connections, DriverError, Fault, Waiters};
use parking_lot::Mutex;
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{Connection, Postgres};
use tokio::time::{Instant, timeout};

use crate::error::{Server, Stage, spoils_connection};

/// How long a statement may take once it has a connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// A connection that lay idle for so long is tried before it is used: something on the way may have dropped it.
const TRY_AFTER_IDLE: Duration = Duration::from_secs(10);
/// How often to run a statement that the database could not serialize.
const WRITES: usize = 16;
/// How long such a trial may take.
const TRIAL_WITHIN: Duration = Duration::from_secs(1);

/// The connections to one server. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    pool: PgPool,
    server: Arc<Server>,
    /// Whether a transaction pooler is between us and the server: see [`Sessions::ask`].
    pooled: Arc<AtomicBool>,
    broken: Broken,
    /// How many connections there may be.
    most: u32,
    waiters: Arc<Waiters>,
}

/// When a connection last broke: older ones may have broken with it.
#[derive(Debug, Clone, Default)]
struct Broken(Arc<Mutex<Option<Instant>>>);

// === impl Broken ===

impl Broken {
    fn note(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// Whether a connection should be tried before it is used.
    fn suspects(&self, connection: &PoolConnectionMetadata) -> bool {
        let since = self.0.lock().map(|broke| broke.elapsed());
        connection.idle_for >= TRY_AFTER_IDLE || since.is_some_and(|since| connection.age >= since)
    }
}

// === impl Sessions ===

impl Sessions {
    /// At most `connections`, each opened when needed within `connect_within`.
    pub(crate) fn new(options: PgConnectOptions, connections: u32, connect_within: Duration, server: Server) -> Self {
        let broken = Broken::default();
        let suspicion = broken.clone();
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(connect_within)
            // Waiting for a connection is how a burst is spread.
            .acquire_slow_level(LevelFilter::Off)
            // Trying a connection before every use would double the round trips.
            .test_before_acquire(false)
            .before_acquire(move |connection, metadata| {
                let suspect = suspicion.suspects(&metadata);
                Box::pin(async move { Ok(!suspect || answers(connection).await) })
            })
            .connect_lazy_with(options);
        Self {
            pool,
            server: Arc::new(server),
            pooled: Arc::default(),
            broken,
            most: connections,
            waiters: Arc::default(),
        }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Says whether a transaction pooler is in between.
    pub(crate) fn set_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
    }

    /// The rows of a statement that changes nothing.
    pub(crate) async fn read(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, DriverError> {
        self.run(Stage::Reading, query).await
    }

    /// The rows of a statement that is a transaction of its own. `Conflict`: another got in between.
    pub(crate) async fn write(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, DriverError> {
        self.run(Stage::Writing, query).await
    }

    /// The same for a statement that depends on nothing: where the database insists on serializing it with another, it is
    /// simply run again.
    pub(crate) async fn write_regardless<'q>(
        &self,
        query: impl Fn() -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Vec<PgRow>, DriverError> {
        for _ in 0..WRITES {
            match self.write(query()).await {
                Err(DriverError::Conflict) => {}
                written => return written,
            }
        }
        let what = format!("{} could not serialize a statement with those of other watchers", self.server.address);
        Err(DriverError::Unavailable(Fault::new(what)))
    }

    async fn run(&self, stage: Stage, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, DriverError> {
        let mut connection = self.connection().await?;
        match timeout(ANSWER_WITHIN, self.ask(&mut connection, query)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => {
                if spoils_connection(&error) {
                    self.give_up(connection);
                }
                Err(self.server.explain(stage, error))
            }
            Err(_) => {
                self.give_up(connection);
                Err(self.server.silent(stage))
            }
        }
    }

    /// A connection of the pool, as soon as there is one.
    async fn connection(&self) -> Result<PoolConnection<Postgres>, DriverError> {
        let _waiter = self.waiters.enter();
        self.pool.acquire().await.map_err(|error| self.server.explain(Stage::Connecting, error))
    }

    /// The connections calls go through, at this moment.
    pub(crate) fn connections(&self) -> Connections {
        let (open, idle) = (self.pool.size(), u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX));
        let (in_use, waiting) = (open.saturating_sub(idle), self.waiters.count());
        Connections { most: self.most, in_use, idle, waiting }
    }

    /// Through a transaction pooler, two messages outside a transaction may reach two servers; so preparing a statement
    /// and running it, which are two, need one around them, and the statement must have no name, which outlives it.
    async fn ask(
        &self,
        connection: &mut PgConnection,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        if !self.pooled.load(Ordering::Relaxed) {
            return query.fetch_all(connection).await;
        }
        let mut transaction = connection.begin().await?;
        let rows = query.persistent(false).fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    fn give_up(&self, mut connection: PoolConnection<Postgres>) {
        self.broken.note();
        connection.close_on_drop();
    }
}

async fn answers(connection: &mut PgConnection) -> bool {
    matches!(timeout(TRIAL_WITHIN, connection.ping()).await, Ok(Ok(())))
}
