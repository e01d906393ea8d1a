//! The contract's operations, a statement each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Fault, HistoryStore, Holder, Inspection,
    LegacySource, Renewal, Repositories, RepositoryKey, Schema, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use pac_config::PostgreSqlSettings;
use tokio::sync::mpsc;
use tokio_postgres::{Error, Row};
use tokio_stream::wrappers::ReceiverStream;

use crate::announce::Announcer;
use crate::changes::{KEPT, LatestNews, Listener};
use crate::connect::Connector;
use crate::delta::Columns;
use crate::error::CallStage;
use crate::horizon::Horizon;
use crate::places::Places;
use crate::session::Session;
use crate::sessions::Sessions;
use crate::statement::Statement;
use crate::{connect, inspect, migrate, row};

/// A driver on one database, with connections of its own.
pub struct PgDriver {
    pub(crate) sessions: Sessions,
    announcer: Announcer,
    /// Opens the connection that listens, if the settings leave one for it.
    listening: Option<Arc<Connector>>,
    origin: String,
    lease_ttl: Duration,
    news: LatestNews,
    horizon: Horizon,
    places: Places,
    /// Whether there are tables of ours: not if nobody connected for good yet.
    pub(crate) has_schema: bool,
}

// === impl PgDriver ===

impl PgDriver {
    /// What the store can do, whatever the settings.
    pub const CAPABILITIES: Capabilities = Capabilities { durable: true, shared: true };

    /// Connects once, which shows what is wrong with the settings, and brings the schema up to date.
    ///
    /// # Errors
    ///
    /// `Unavailable` if no server that takes writes can be reached, `Rejected` if it won't have us, its schema is too new or
    /// the user may not write.
    pub async fn connect(settings: &PostgreSqlSettings) -> Result<Self, DriverError> {
        let connector = Arc::new(Connector::new(settings.clone()));
        let mut session = connector.session().await?;
        let server = Arc::clone(&session.server);
        migrate::migrate(&mut session, settings.connection_timeout, &server).await?;
        let inspection = inspect::inspect(&mut session, settings.connection_timeout, &server).await?;
        if let Some(why) = inspection.cannot_write {
            return Err(DriverError::Rejected(Fault::new(why)));
        }
        Self::on(session, connector, settings, true).await
    }

    /// Looks at the server without changing anything there: what schema it has, what [`PgDriver::connect`] would make of
    /// it, and whether the user may write. The driver is for reading; where there is no schema yet it finds nothing.
    ///
    /// # Errors
    ///
    /// As [`PgDriver::connect`], but that a user who may only read is no error.
    pub async fn inspect(settings: &PostgreSqlSettings) -> Result<(Inspection, Self), DriverError> {
        let connector = Arc::new(Connector::new(settings.clone()));
        let mut session = connector.session().await?;
        let server = Arc::clone(&session.server);
        let inspection = inspect::inspect(&mut session, settings.connection_timeout, &server).await?;
        let has_schema = !matches!(inspection.schema, Schema::Missing { .. });
        Ok((inspection, Self::on(session, connector, settings, has_schema).await?))
    }

    async fn on(
        mut session: Session,
        connector: Arc<Connector>,
        settings: &PostgreSqlSettings,
        has_schema: bool,
    ) -> Result<Self, DriverError> {
        // It takes a second connection to find out.
        let pooled = settings.max_connections == 1 || connect::is_pooled(&mut session, &connector).await?;
        drop(session);
        // One of the connections listens. Through a pooler, LISTEN would stay behind with whatever backend it met.
        let listens = !pooled;
        let for_work = settings.max_connections - u32::from(listens);
        let sessions = Sessions::new(Arc::clone(&connector), for_work);
        let origin = uuid::Uuid::new_v4().simple().to_string();
        let announcer = Announcer::start(sessions.clone(), origin.clone());
        sessions.set_pooled(pooled);
        let listening = listens.then_some(connector);
        let lease_ttl = settings.lease_ttl;
        let (news, horizon, places) = (LatestNews::default(), Horizon::default(), Places::default());
        Ok(Self { sessions, announcer, listening, origin, lease_ttl, news, horizon, places, has_schema })
    }

    pub(crate) fn explain(&self, error: Error) -> DriverError {
        self.sessions.server().explain(CallStage::Reading, error)
    }

    /// The one boolean that a function of ours returns.
    pub(crate) fn answer(&self, rows: &[Row]) -> Result<bool, DriverError> {
        self.first(rows)?.try_get(0).map_err(|error| self.explain(error))
    }

    fn first<'r>(&self, rows: &'r [Row]) -> Result<&'r Row, DriverError> {
        let what = || format!("a function in {} answers nothing", self.sessions.server().database);
        rows.first().ok_or_else(|| DriverError::Corrupt(Fault::new(what())))
    }
}

impl fmt::Debug for PgDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgDriver").field("server", &self.sessions.server()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for PgDriver {
    fn name(&self) -> &'static str {
        "postgresql"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn lease_ttl(&self) -> Duration {
        self.lease_ttl
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        if !self.has_schema {
            return Ok(Snapshot::empty());
        }
        let load = Statement::new(include_str!("../sql/load.sql")).text(repository.as_str()).number(row::limit(window));
        let rows = self.sessions.read(load).await?;
        let snapshot = row::snapshot(repository, window, &rows).map_err(|error| self.explain(error))?;
        // A pooler may have turned to a standby since it was connected to, and that may be behind.
        snapshot.ok_or_else(|| DriverError::Unavailable(Fault::new(self.sessions.server().takes_no_writes())))
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let version = new_version();
        let by_place = self.sessions.server().has_commit_at;
        let place = self.places.take(repository, expected);
        let commit = match by_place {
            true => Statement::new(include_str!("../sql/commit_at.sql")).text_if_any(place.as_deref()),
            false => Statement::new(include_str!("../sql/commit.sql")),
        };
        let commit =
            commit.text(repository.as_str()).number(stored(expected)).number(stored(version)).text(holder.as_str());
        let rows = self.sessions.write(Columns::new(delta).bind(commit)).await?;
        if by_place {
            let place = self.first(&rows)?.try_get(0).map_err(|error| self.explain(error))?;
            self.places.keep(repository, version, Option::<String>::ok_or(place, DriverError::Conflict)?);
        } else if !self.answer(&rows)? {
            return Err(DriverError::Conflict);
        }
        self.announcer.announce(repository);
        Ok(version)
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        let begin = || {
            Statement::new(include_str!("../sql/begin.sql")).text(holder.as_str()).seconds(self.lease_ttl.as_secs_f64())
        };
        self.sessions.write_regardless(begin).await.map(drop)
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        let renew = || {
            Statement::new(include_str!("../sql/renew.sql")).text(holder.as_str()).seconds(self.lease_ttl.as_secs_f64())
        };
        let renewed = self.sessions.write_regardless(renew).await?;
        Ok(if renewed.is_empty() { Renewal::Lost } else { Renewal::Renewed })
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        let end = || Statement::new(include_str!("../sql/end.sql")).text(holder.as_str());
        self.sessions.write_regardless(end).await.map(drop)
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        if !self.has_schema {
            return Ok(Vec::new());
        }
        let rows = self.sessions.read(Statement::new(include_str!("../sql/holders.sql"))).await?;
        let names = rows.iter().map(|row| row.try_get(0).map_err(|error| self.explain(error)));
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        Ok(names.iter().filter_map(|name| Holder::parse(name).ok()).collect())
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        if !self.has_schema {
            return Ok(Repositories::default());
        }
        let rows = self.sessions.read(Statement::new(include_str!("../sql/repositories.sql"))).await?;
        row::repositories(&rows).map(|(_, repositories)| repositories).map_err(|error| self.explain(error))
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        self.places.take(repository, expected);
        let forget =
            Statement::new(include_str!("../sql/forget.sql")).text(repository.as_str()).number(stored(expected));
        let rows = self.sessions.write(forget).await?;
        if !self.answer(&rows)? {
            return Err(DriverError::Conflict);
        }
        self.announcer.announce(repository);
        Ok(())
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        let (sender, receiver) = mpsc::channel(KEPT);
        let listener = Listener {
            sessions: self.sessions.clone(),
            connector: self.listening.clone(),
            origin: self.origin.clone(),
            news: Arc::clone(&self.news),
        };
        tokio::spawn(listener.run(sender));
        ReceiverStream::new(receiver).boxed()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        let rows = self.sessions.read(Statement::new(include_str!("../sql/server.sql"))).await?;
        let row = self.first(&rows)?;
        let server = self.sessions.server();
        if row.try_get("only_reads").map_err(|error| self.explain(error))? {
            return Err(DriverError::Unavailable(Fault::new(server.takes_no_writes())));
        }
        let missing = self.sessions.read(Statement::new(inspect::MISSING_RIGHTS)).await?;
        inspect::may_write(&missing, &server)?;
        self.horizon.look(&self.sessions).await;
        let version: String = row.try_get("version").map_err(|error| self.explain(error))?;
        let address = format!("{}/{}", server.address, server.database);
        Ok(ServerInfo { server: format!("PostgreSQL {version}"), address })
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.sessions.connections())
    }

    fn condition(&self) -> Condition {
        Condition { news: self.news.lock().clone(), oldest_transaction: self.horizon.age() }
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        self.has_schema.then_some(self as &dyn HistoryStore)
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        Some(self)
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
