//! One connection to the server, and how a statement is run on it.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pac_concurrency::{DriverError, Fault};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, CancelToken, Client, Connection, Error, Row, SimpleQueryMessage};
use tracing::debug;

use crate::error::{CallStage, Server};
use crate::statement::Statement;
use crate::tls::Upgrade;

/// What a session has to know of its server: whether it takes writes, who we are there, which characters it has, and whether it has
/// what may be there or not.
const WHO: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, current_user, \
    current_setting('server_encoding') IN ('UTF8', 'SQL_ASCII'), \
    EXISTS (SELECT FROM pg_proc WHERE pronamespace = to_regnamespace('pac_concurrency') AND proname = 'commit_at')";

/// How long the server has to take note that a call was given up.
const CANCELLED_WITHIN: Duration = Duration::from_secs(5);

/// An open connection. Dropped in the middle of a call it is cut, and the server told that nobody waits for the answer; otherwise it
/// ends in order.
pub(crate) struct Session {
    client: Client,
    address: SocketAddr,
    upgrade: Upgrade,
    /// Who is at the other end, for messages.
    pub(crate) server: Arc<Server>,
    prepared: HashMap<&'static str, tokio_postgres::Statement>,
    /// Whether an answer is still to come.
    is_asking: bool,
    /// Whether the server said that it waits for no standby any more, for what is asked now or was asked last.
    waited_in_vain: Arc<AtomicBool>,
    wire: AbortHandle,
}

// === impl Session ===

impl Session {
    /// Puts the wire to work. What it is notified of goes to `heard`, which ends when the connection does.
    pub(crate) fn new<S, T>(
        client: Client,
        connection: Connection<S, T>,
        (address, upgrade): (SocketAddr, Upgrade),
        server: Server,
        heard: Option<mpsc::UnboundedSender<String>>,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let waited_in_vain = Arc::<AtomicBool>::default();
        let wire = tokio::spawn(carry(connection, heard, Arc::clone(&waited_in_vain))).abort_handle();
        Self {
            client,
            address,
            upgrade,
            server: Arc::new(server),
            prepared: HashMap::new(),
            is_asking: false,
            waited_in_vain,
            wire,
        }
    }

    /// Finds out whether the server takes writes, which is an error if not, and whose rights we have there.
    pub(crate) async fn find_out_who_it_is(&mut self) -> Result<(), DriverError> {
        let rows = self.texts(WHO).await.map_err(|error| self.server.explain(CallStage::Connecting, error))?;
        let Some([only_reads, Some(user), is_unicode, has_commit_at]) = rows.first().map(Vec::as_slice) else {
            return Ok(());
        };
        let is_so = |value: &Option<String>| value.as_deref() == Some("t");
        let (acts_as, is_unicode, has_commit_at) = (user.clone(), is_so(is_unicode), is_so(has_commit_at));
        self.server = Arc::new(Server { acts_as, is_unicode, has_commit_at, ..(*self.server).clone() });
        if is_so(only_reads) {
            return Err(DriverError::Unavailable(Fault::new(self.server.takes_no_writes())));
        }
        Ok(())
    }

    /// Whether what was run last is done, but somebody had the server wait no longer for the standby that is to have it, too.
    pub(crate) fn waited_in_vain(&self) -> bool {
        self.waited_in_vain.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// The rows of `statement`. Through a transaction pooler (`pooled`) a statement that is prepared in one message and run
    /// in another may reach two servers; so it is one message, with a statement that has no name.
    pub(crate) async fn run(&mut self, statement: Statement<'_>, pooled: bool) -> Result<Vec<Row>, Error> {
        self.is_asking = true;
        self.waited_in_vain.store(false, Ordering::Relaxed);
        let rows = if pooled {
            let parameters: Vec<_> = statement.values().zip(statement.types()).collect();
            self.client.query_typed(statement.text, &parameters).await
        } else {
            let prepared = match self.prepared.get(statement.text) {
                Some(prepared) => prepared.clone(),
                None => {
                    let prepared = self.client.prepare_typed(statement.text, &statement.types()).await?;
                    self.prepared.insert(statement.text, prepared.clone());
                    prepared
                }
            };
            self.client.query(&prepared, &statement.values().collect::<Vec<_>>()).await
        };
        self.is_asking = false;
        rows
    }

    /// Runs statements without parameters, and drops what they answer.
    pub(crate) async fn execute(&mut self, statements: &str) -> Result<(), Error> {
        self.is_asking = true;
        let done = self.client.batch_execute(statements).await;
        self.is_asking = false;
        done
    }

    /// The rows of a statement without parameters, as text.
    pub(crate) async fn texts(&mut self, statement: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        self.is_asking = true;
        let answered = self.client.simple_query(statement).await;
        self.is_asking = false;
        let rows = answered?.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let columns = |row: tokio_postgres::SimpleQueryRow| {
            (0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect()
        };
        Ok(rows.map(columns).collect())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It would wait for the answer before it ends, and nobody else does.
        if !self.is_asking {
            return;
        }
        self.wire.abort();
        // A server that waits for something itself, such as a standby, doesn't notice that, and would keep a connection for it.
        if let Ok(runtime) = Handle::try_current() {
            let cancelling = cancel(self.client.cancel_token(), self.address, self.upgrade.clone());
            runtime.spawn(timeout(CANCELLED_WITHIN, cancelling));
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Has the server give up what it is at for a connection.
async fn cancel(token: CancelToken, address: SocketAddr, upgrade: Upgrade) {
    let Ok(stream) = TcpStream::connect(address).await else { return };
    if let Err(error) = token.cancel_query_raw(stream, upgrade).await {
        debug!(%error, "a call to PostgreSQL was given up, and the server can't be told");
    }
}

/// Carries messages to and fro until the connection ends, by either side's wish.
async fn carry<S, T>(
    mut connection: Connection<S, T>,
    heard: Option<mpsc::UnboundedSender<String>>,
    waited_in_vain: Arc<AtomicBool>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
        match message {
            Ok(AsyncMessage::Notification(notification)) => {
                if let Some(heard) = &heard
                    && heard.send(notification.payload().to_owned()).is_err()
                {
                    return;
                }
            }
            Ok(AsyncMessage::Notice(notice)) => {
                // Its words depend on the server's language, and it has no code of its own.
                if notice.routine() == Some("SyncRepWaitForLSN") {
                    waited_in_vain.store(true, Ordering::Relaxed);
                }
                debug!(notice = notice.message(), "PostgreSQL says");
            }
            Ok(_) => {}
            Err(error) => return debug!(%error, "a connection to PostgreSQL ended"),
        }
    }
}
