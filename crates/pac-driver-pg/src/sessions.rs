//! How a statement is run: on a connection of the pool, within a deadline, with an outcome of the contract.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pac_concurrency::{Connections, DriverError, Fault};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::connect::Connector;
use crate::error::{CallStage, Server, spoils_connection};
use crate::pool::Pool;
use crate::statement::Statement;

/// How long a statement may take once it has a connection.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often to run a statement that the database could not serialize.
const WRITES: usize = 16;

/// The connections to one server. Clones share them.
#[derive(Clone)]
pub(crate) struct Sessions {
    pool: Arc<Pool<Arc<Connector>>>,
    /// Whether a transaction pooler is between us and the server.
    pooled: Arc<AtomicBool>,
}

// === impl Sessions ===

impl Sessions {
    /// At most `connections`, each opened when needed.
    pub(crate) fn new(connector: Arc<Connector>, connections: u32) -> Self {
        let patience = connector.patience();
        Self { pool: Arc::new(Pool::new(connector, connections, patience)), pooled: Arc::default() }
    }

    /// Who was connected to last, for messages.
    pub(crate) fn server(&self) -> Arc<Server> {
        self.pool.opener().server()
    }

    /// Says whether a transaction pooler is in between.
    pub(crate) fn set_pooled(&self, pooled: bool) {
        self.pooled.store(pooled, Ordering::Relaxed);
    }

    /// The rows of a statement that changes nothing.
    pub(crate) async fn read(&self, statement: Statement<'_>) -> Result<Vec<Row>, DriverError> {
        self.run(CallStage::Reading, statement).await
    }

    /// The rows of a statement that is a transaction of its own. `Conflict`: another got in between.
    pub(crate) async fn write(&self, statement: Statement<'_>) -> Result<Vec<Row>, DriverError> {
        self.run(CallStage::Writing, statement).await
    }

    /// The same for a statement that depends on nothing: where the database insists on serializing it with another, it is
    /// simply run again.
    pub(crate) async fn write_regardless<'p>(
        &self,
        statement: impl Fn() -> Statement<'p> + Send + Sync,
    ) -> Result<Vec<Row>, DriverError> {
        for _ in 0..WRITES {
            match self.write(statement()).await {
                Err(DriverError::Conflict) => {}
                written => return written,
            }
        }
        let what = format!("{} could not serialize a statement with those of other watchers", self.server().address);
        Err(DriverError::Unavailable(Fault::new(what)))
    }

    async fn run(&self, stage: CallStage, statement: Statement<'_>) -> Result<Vec<Row>, DriverError> {
        let mut lent = self.pool.connection().await?;
        let server = Arc::clone(&lent.connection.server);
        let pooled = self.pooled.load(Ordering::Relaxed);
        match timeout(ANSWER_WITHIN, lent.connection.run(statement, pooled)).await {
            Ok(Ok(rows)) => {
                let waited_in_vain = lent.connection.waited_in_vain();
                lent.give_back();
                if waited_in_vain { Err(server.alone_has_it(stage)) } else { Ok(rows) }
            }
            Ok(Err(error)) => {
                if spoils_connection(&error) {
                    self.pool.note_broken();
                } else {
                    lent.give_back();
                }
                Err(server.explain(stage, error))
            }
            Err(_) => {
                self.pool.note_broken();
                Err(server.silent_within(stage, ANSWER_WITHIN))
            }
        }
    }

    /// The connections calls go through, at this moment.
    pub(crate) fn connections(&self) -> Connections {
        self.pool.connections()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("server", &self.server()).finish_non_exhaustive()
    }
}
