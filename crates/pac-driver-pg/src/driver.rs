//! The contract's operations, a statement each.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use pac_concurrency::{
    Capabilities, Change, Connections, Delta, Driver, DriverError, Fault, Holder, Inspection, Legacy, Renewal,
    Repositories, RepositoryKey, Schema, ServerInfo, Snapshot, TakenOver, Version, Window,
};
use pac_config::PostgreSqlSettings;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{Executor, Row};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::announce::Announcer;
use crate::changes::{KEPT, Listener};
use crate::delta::Columns;
use crate::error::{Server, Stage};
use crate::session::Sessions;
use crate::{connect, inspect, legacy, migrate, row};

/// A driver on one database, with connections of its own.
pub struct PgDriver {
    sessions: Sessions,
    announcer: Announcer,
    /// How to open the connection that listens, if the settings leave one for it.
    listening: Option<PgConnectOptions>,
    origin: String,
    lease_ttl: Duration,
    /// Whether there are tables of ours: not if nobody connected for good yet.
    has_schema: bool,
}

// === impl PgDriver ===

impl PgDriver {
    /// Connects once, which shows what is wrong with the settings, and brings the schema up to date.
    ///
    /// # Errors
    ///
    /// `Unavailable` if the server can't be reached, `Rejected` if it won't have us or its schema is too new.
    pub async fn connect(settings: &PostgreSqlSettings) -> Result<Self, DriverError> {
        let server = connect::server(settings);
        let mut connection = connect::open(settings, &server).await?;
        migrate::migrate(&mut connection, settings.connection_timeout, &server).await?;
        let asked = connection.fetch_all(inspect::MISSING_RIGHTS);
        inspect::may_write(&connect::within(settings.connection_timeout, &server, asked).await?, &server)?;
        Self::on(connection, settings, server, true).await
    }

    /// Looks at the server without changing anything there: what schema it has, what [`PgDriver::connect`] would make of
    /// it, and whether the user may write. The driver is for reading; where there is no schema yet it finds nothing.
    ///
    /// # Errors
    ///
    /// As [`PgDriver::connect`], but that a user who may only read is no error.
    pub async fn inspect(settings: &PostgreSqlSettings) -> Result<(Inspection, Self), DriverError> {
        let server = connect::server(settings);
        let mut connection = connect::open(settings, &server).await?;
        let inspection = inspect::inspect(&mut connection, settings.connection_timeout, &server).await?;
        let has_schema = !matches!(inspection.schema, Schema::Missing { .. });
        Ok((inspection, Self::on(connection, settings, server, has_schema).await?))
    }

    async fn on(
        mut connection: PgConnection,
        settings: &PostgreSqlSettings,
        server: Server,
        has_schema: bool,
    ) -> Result<Self, DriverError> {
        // It takes a second connection to find out.
        let pooled = settings.max_connections == 1 || connect::is_pooled(&mut connection, settings, &server).await?;
        // Its end is nobody's business any more.
        let _ = sqlx::Connection::close(connection).await;
        let options = connect::options(settings);
        // One of the connections listens. Through a pooler, LISTEN would stay behind with whatever backend it met.
        let listens = !pooled;
        let for_work = settings.max_connections - u32::from(listens);
        let sessions = Sessions::new(options.clone(), for_work, settings.connection_timeout, server);
        let origin = uuid::Uuid::new_v4().simple().to_string();
        let announcer = Announcer::start(sessions.clone(), origin.clone());
        sessions.set_pooled(pooled);
        let listening = listens.then_some(options);
        Ok(Self { sessions, announcer, listening, origin, lease_ttl: settings.lease_ttl, has_schema })
    }

    fn explain(&self, error: sqlx::Error) -> DriverError {
        self.sessions.server().explain(Stage::Reading, error)
    }

    /// The one boolean that a function of ours returns.
    fn answer(&self, rows: &[PgRow]) -> Result<bool, DriverError> {
        let row = rows.first().ok_or_else(|| self.explain(sqlx::Error::RowNotFound))?;
        row.try_get(0).map_err(|error| self.explain(error))
    }
}

impl fmt::Debug for PgDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDriver").field("server", self.sessions.server()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for PgDriver {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { durable: true, shared: true }
    }

    fn lease_ttl(&self) -> Duration {
        self.lease_ttl
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        if !self.has_schema {
            return Ok(Snapshot::empty());
        }
        let query = sqlx::query(include_str!("../sql/load.sql")).bind(repository.as_str()).bind(row::limit(window));
        let rows = self.sessions.read(query).await?;
        row::snapshot(repository, window, &rows).map_err(|error| self.explain(error))
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let version = new_version();
        let query = sqlx::query(include_str!("../sql/commit.sql"))
            .bind(repository.as_str())
            .bind(stored(expected))
            .bind(stored(version))
            .bind(holder.as_str());
        let rows = self.sessions.write(Columns::new(delta).bind(query)).await?;
        if !self.answer(&rows)? {
            return Err(DriverError::Conflict);
        }
        self.announcer.announce(repository);
        Ok(version)
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        let begin =
            || sqlx::query(include_str!("../sql/begin.sql")).bind(holder.as_str()).bind(self.lease_ttl.as_secs_f64());
        self.sessions.write_regardless(begin).await.map(drop)
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        let renew =
            || sqlx::query(include_str!("../sql/renew.sql")).bind(holder.as_str()).bind(self.lease_ttl.as_secs_f64());
        let renewed = self.sessions.write_regardless(renew).await?;
        Ok(if renewed.is_empty() { Renewal::Lost } else { Renewal::Renewed })
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        let end = || sqlx::query(include_str!("../sql/end.sql")).bind(holder.as_str());
        self.sessions.write_regardless(end).await.map(drop)
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        if !self.has_schema {
            return Ok(Repositories::default());
        }
        let rows = self.sessions.read(sqlx::query(include_str!("../sql/repositories.sql"))).await?;
        row::repositories(&rows).map(|(_, repositories)| repositories).map_err(|error| self.explain(error))
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        let query = sqlx::query(include_str!("../sql/forget.sql")).bind(repository.as_str()).bind(stored(expected));
        let rows = self.sessions.write(query).await?;
        if !self.answer(&rows)? {
            return Err(DriverError::Conflict);
        }
        self.announcer.announce(repository);
        Ok(())
    }

    fn changes(&self) -> BoxStream<'static, Change> {
        let (sender, receiver) = mpsc::channel(KEPT);
        let listener =
            Listener { sessions: self.sessions.clone(), options: self.listening.clone(), origin: self.origin.clone() };
        tokio::spawn(listener.run(sender));
        ReceiverStream::new(receiver).boxed()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        let rows = self.sessions.read(sqlx::query(include_str!("../sql/server.sql"))).await?;
        let row = rows.first().ok_or_else(|| self.explain(sqlx::Error::RowNotFound))?;
        let read = |column| row.try_get::<bool, _>(column).map_err(|error| self.explain(error));
        let server = self.sessions.server();
        if read("standby")? || read("read_only")? {
            return Err(DriverError::Unavailable(Fault::new(server.takes_no_writes())));
        }
        let missing = self.sessions.read(sqlx::query(inspect::MISSING_RIGHTS)).await?;
        inspect::may_write(&missing, server)?;
        let version: String = row.try_get("version").map_err(|error| self.explain(error))?;
        let address = format!("{}/{}", server.address, server.database);
        Ok(ServerInfo { server: format!("PostgreSQL {version}"), address })
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.sessions.connections())
    }

    async fn keep_past(&self, repository: &RepositoryKey, past: &str) -> Result<(), DriverError> {
        let keep = || sqlx::query(include_str!("../sql/keep_past.sql")).bind(repository.as_str()).bind(past);
        self.sessions.write_regardless(keep).await.map(drop)
    }

    async fn past(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
        let rows = self.sessions.read(sqlx::query(include_str!("../sql/past.sql")).bind(repository.as_str())).await?;
        rows.first().map(|row| row.try_get(0)).transpose().map_err(|error| self.explain(error))
    }

    async fn legacy(&self) -> Result<Option<Legacy>, DriverError> {
        let pending = match self.has_schema {
            true => include_str!("../sql/legacy_pending.sql"),
            // Nowhere could it be noted.
            false => "SELECT to_regclass('public.concurrency_slots') IS NOT NULL",
        };
        let pending = self.sessions.read(sqlx::query(pending)).await?;
        if !self.answer(&pending)? {
            return Ok(None);
        }
        let rows = self.sessions.read(sqlx::query(include_str!("../sql/legacy_slots.sql"))).await?;
        legacy::legacy(&rows).map(Some).map_err(|error| self.explain(error))
    }

    async fn note_legacy_taken_over(&self, taken: &TakenOver) -> Result<(), DriverError> {
        let note = || {
            let counts = [taken.slots, taken.waiting, taken.ghosts];
            let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
            counts
                .into_iter()
                .fold(sqlx::query(include_str!("../sql/note_legacy.sql")), |query, count| query.bind(count))
        };
        self.sessions.write_regardless(note).await.map(drop)
    }
}

/// A version no state had before, nor will have.
fn new_version() -> Version {
    // Positive in the database, and never the 0 of a repository that isn't known.
    Version::new(rand::random_range(1..=i64::MAX as u64))
}

fn stored(version: Version) -> i64 {
    version.number().cast_signed()
}
