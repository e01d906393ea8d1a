//! From settings to a session with the server that takes writes.
//!
//! There may be several servers, and several addresses to a name. They are tried in turn, beginning with the one that was
//! last of use, and the next begins as soon as one has failed or been silent for a moment. Of those that answer only one
//! that takes writes will do; so a fail-over needs nobody's help.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use pac_concurrency::DriverError;
use pac_config::{PostgreSqlServer, PostgreSqlSettings};
use parking_lot::RwLock;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_rustls::TlsConnector;

use crate::error::{CallStage, Server, none_takes_writes};
use crate::pool::Open;
use crate::session::Session;
use crate::tls::{self, Upgrade};

/// How long one server may be silent before the next is tried beside it.
const NEXT_AFTER: Duration = Duration::from_secs(1);
/// How long a connection is quiet before the system asks whether the other end lives.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// How often it asks again.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long what was sent may go without a sign that it arrived, before the system gives the connection up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15);

/// Opens sessions.
pub(crate) struct Connector {
    settings: PostgreSqlSettings,
    /// Which of the servers was last of use.
    preferred: AtomicUsize,
    /// Who answers, for messages: all that are configured, until one did.
    server: RwLock<Arc<Server>>,
}

// === impl Connector ===

impl Connector {
    pub(crate) fn new(settings: PostgreSqlSettings) -> Self {
        let addresses: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
        let server = RwLock::new(Arc::new(server(&settings, addresses.join(","))));
        Self { settings, preferred: AtomicUsize::new(0), server }
    }

    /// Who was connected to last, for messages.
    pub(crate) fn server(&self) -> Arc<Server> {
        Arc::clone(&self.server.read())
    }

    /// How long opening one session may take.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.connection_timeout
    }

    /// One session, outside any pool: what is wrong with the settings shows best here.
    pub(crate) async fn session(&self) -> Result<Session, DriverError> {
        self.within(None).await
    }

    /// One session that hands what it is notified of to `heard`.
    pub(crate) async fn listening_session(&self, heard: mpsc::UnboundedSender<String>) -> Result<Session, DriverError> {
        self.within(Some(heard)).await
    }

    async fn within(&self, heard: Option<mpsc::UnboundedSender<String>>) -> Result<Session, DriverError> {
        match timeout(self.patience(), self.first_that_writes(heard)).await {
            Ok(opened) => opened,
            Err(_) => Err(self.server().silent_within(CallStage::Connecting, self.patience())),
        }
    }

    async fn first_that_writes(&self, heard: Option<mpsc::UnboundedSender<String>>) -> Result<Session, DriverError> {
        let servers = &self.settings.servers;
        let preferred = self.preferred.load(Ordering::Relaxed);
        let in_turn = (0..servers.len()).map(|turn| (preferred + turn) % servers.len());
        let attempts = in_turn.map(|number| {
            let heard = heard.clone();
            async move { Ok((number, self.at_any_address(&servers[number], heard).await?)) }
        });
        let (number, session) = first_of(attempts.collect()).await.map_err(none_takes_writes)?;
        self.preferred.store(number, Ordering::Relaxed);
        *self.server.write() = Arc::clone(&session.server);
        Ok(session)
    }

    async fn at_any_address(
        &self,
        place: &PostgreSqlServer,
        heard: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Session, DriverError> {
        let server = server(&self.settings, place.to_string());
        let looked_up = lookup_host((place.host.as_str(), place.port)).await;
        let addresses: Vec<SocketAddr> = looked_up.map_err(|error| server.unknown_host(error))?.collect();
        let attempts = addresses.into_iter().map(|address| self.at(place, server.clone(), address, heard.clone()));
        first_of(attempts.collect()).await.map_err(none_takes_writes)
    }

    async fn at(
        &self,
        place: &PostgreSqlServer,
        server: Server,
        address: SocketAddr,
        heard: Option<mpsc::UnboundedSender<String>>,
    ) -> Result<Session, DriverError> {
        let stream = TcpStream::connect(address).await.map_err(|error| server.unreachable(error))?;
        keep_alive(&stream).map_err(|error| server.unreachable(error))?;
        let tls = tls::client(&self.settings).await?;
        let name = ServerName::try_from(place.host.clone());
        let name = name.map_err(|error| server.no_tls(None, error))?;
        let upgrade = Upgrade(tls.as_ref().map(|tls| (TlsConnector::from(Arc::clone(&tls.config)), name)));
        let opened = self.config().connect_raw(stream, upgrade.clone()).await;
        let peculiarity = || tls.as_ref().and_then(pac_tls::Client::peculiarity);
        let (client, connection) = opened.map_err(|error| server.not_opened(error, peculiarity))?;
        let mut session = Session::new(client, connection, (address, upgrade), server, heard);
        session.find_out_who_it_is().await?;
        Ok(session)
    }

    fn config(&self) -> Config {
        let settings = &self.settings;
        let password = settings.password.as_ref().map_or("", |password| password.expose());
        let mut config = Config::new();
        config.user(&settings.username).dbname(&settings.database).password(password).application_name("pac-watcher");
        config.ssl_mode(match settings.ssl_mode {
            pac_config::SslMode::Disable => SslMode::Disable,
            _ => SslMode::Require,
        });
        config
    }
}

impl Open for Arc<Connector> {
    type Connection = Session;

    async fn open(&self) -> Result<Session, DriverError> {
        self.first_that_writes(None).await
    }

    fn is_closed(session: &Session) -> bool {
        session.is_closed()
    }

    async fn answers(session: &mut Session) -> bool {
        session.execute("").await.is_ok()
    }

    fn too_late(&self, within: Duration) -> DriverError {
        self.server().silent_within(CallStage::Connecting, within)
    }
}

fn server(settings: &PostgreSqlSettings, address: String) -> Server {
    let (database, username) = (settings.database.clone(), settings.username.clone());
    Server { address, database, acts_as: username.clone(), username, is_unicode: true, has_commit_at: false }
}

/// What is sent goes at once, and what dies in silence is noticed by the system even while nobody asks anything.
fn keep_alive(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ASK_AFTER).with_interval(ASK_EVERY))?;
    socket.set_tcp_user_timeout(Some(GIVE_UP_AFTER))
}

/// The first of `attempts` that succeeds, or why none did. Each begins once the one before it failed or is silent.
async fn first_of<T>(attempts: Vec<impl Future<Output = Result<T, DriverError>>>) -> Result<T, Vec<DriverError>> {
    let mut waiting = attempts.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut failures = Vec::new();
    loop {
        match waiting.next() {
            Some(next) => under_way.push(next),
            None if under_way.is_empty() => return Err(failures),
            None => {}
        }
        tokio::select! {
            Some(outcome) = under_way.next() => match outcome {
                Ok(found) => return Ok(found),
                Err(failure) => failures.push(failure),
            },
            () = sleep(NEXT_AFTER), if waiting.len() > 0 => {}
        }
    }
}

/// What the server answers while a connection is made fit for use, or that it didn't in time.
pub(crate) async fn within<T>(
    deadline: Duration,
    server: &Server,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DriverError> {
    within_at(CallStage::Connecting, deadline, server, asked).await
}

/// The same at another stage.
pub(crate) async fn within_at<T>(
    stage: CallStage,
    deadline: Duration,
    server: &Server,
    asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, DriverError> {
    match timeout(deadline, asked).await {
        Ok(answered) => answered.map_err(|error| server.explain(stage, error)),
        Err(_) => Err(server.silent_within(stage, deadline)),
    }
}

/// Whether a transaction pooler is between us and the server: `first` is an open connection, and idle.
///
/// Through one, a second connection is served by the backend that just served the first, or by one that was there before
/// the second connection was asked for. A pooler that is busy may give it another, so it is asked more than once. Without
/// the session's own role a backend doesn't even see when it began itself.
pub(crate) async fn is_pooled(first: &mut Session, connector: &Connector) -> Result<bool, DriverError> {
    const ROUNDS: usize = 3;
    const FIRST: &str = "SELECT pg_backend_pid()::text, extract(epoch FROM clock_timestamp())::text";
    const SECOND: &str = "BEGIN; SET LOCAL ROLE NONE; SELECT pg_backend_pid()::text, extract(epoch FROM backend_start)::text \
        FROM pg_stat_activity WHERE pid = pg_backend_pid(); COMMIT";
    for _ in 0..ROUNDS {
        let server = Arc::clone(&first.server);
        let asked = within(connector.patience(), &server, first.texts(FIRST)).await?;
        let mut second = connector.session().await?;
        let answered = within(connector.patience(), &server, second.texts(SECOND)).await?;
        let of = |rows: &[Vec<Option<String>>], column: usize| rows.first().and_then(|row| row.get(column)?.clone());
        let seconds = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok());
        let is_older = seconds(of(&answered, 1)).zip(seconds(of(&asked, 1))).is_some_and(|(began, now)| began < now);
        if is_older || of(&answered, 0) == of(&asked, 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").field("server", &self.server()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use pac_concurrency::Fault;
    use tokio::time::Instant;

    use super::*;

    async fn after(seconds: u64, outcome: Result<&'static str, &'static str>) -> Result<&'static str, DriverError> {
        sleep(Duration::from_secs(seconds)).await;
        outcome.map_err(|what| DriverError::Unavailable(Fault::new(what)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_begins_when_one_failed_or_is_silent_and_the_first_to_succeed_is_taken() {
        let began = Instant::now();
        assert_eq!(first_of(vec![after(0, Err("down")), after(0, Ok("second"))]).await.unwrap(), "second");
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(first_of(vec![after(900, Ok("silent")), after(0, Ok("second"))]).await.unwrap(), "second");
        assert_eq!(began.elapsed(), NEXT_AFTER);
        let failures = first_of(vec![after(0, Err("one")), after(5, Err("two"))]).await.unwrap_err();
        assert_eq!(failures.iter().map(DriverError::reason).collect::<Vec<_>>(), ["one", "two"]);
    }
}
