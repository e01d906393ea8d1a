//! From settings to how connections are opened.

use std::time::Duration;

use pac_concurrency::DriverError;
use pac_config::{PostgreSqlSettings, SslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, Row};
use tokio::time::timeout;

use crate::error::{Server, Stage};

/// Who is asked, for messages.
pub(crate) fn server(settings: &PostgreSqlSettings) -> Server {
    Server {
        address: format!("{}:{}", settings.host, settings.port),
        database: settings.database.clone(),
        username: settings.username.clone(),
    }
}

/// How a connection is opened.
pub(crate) fn options(settings: &PostgreSqlSettings) -> PgConnectOptions {
    let password = settings.password.as_ref().map_or("", |password| password.expose());
    let ssl_mode = match settings.ssl_mode {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&settings.host.to_string())
        .port(settings.port)
        .database(&settings.database)
        .username(&settings.username)
        .password(password)
        .ssl_mode(ssl_mode)
        .application_name("pac-watcher")
        // Poolers refuse connections that ask for it.
        .extra_float_digits(None)
        .disable_statement_logging();
    let checks_server = matches!(settings.ssl_mode, SslMode::VerifyCa | SslMode::VerifyFull);
    match &settings.ssl_ca_file {
        Some(file) if checks_server => options.ssl_root_cert(file),
        _ => options,
    }
}

/// One connection, outside any pool: what is wrong with the settings shows best here.
pub(crate) async fn open(settings: &PostgreSqlSettings, server: &Server) -> Result<PgConnection, DriverError> {
    match timeout(settings.connection_timeout, options(settings).connect()).await {
        Ok(opened) => opened.map_err(|error| server.explain(Stage::Connecting, error)),
        Err(_) => Err(server.silent(Stage::Connecting)),
    }
}

/// What the server answers while a connection is made fit for use, or that it didn't in time.
pub(crate) async fn within<T>(
    deadline: Duration,
    server: &Server,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DriverError> {
    within_at(Stage::Connecting, deadline, server, asked).await
}

/// The same at another stage.
pub(crate) async fn within_at<T>(
    stage: Stage,
    deadline: Duration,
    server: &Server,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DriverError> {
    match timeout(deadline, asked).await {
        Ok(answered) => answered.map_err(|error| server.explain(stage, error)),
        Err(_) => Err(server.silent(stage)),
    }
}

/// Whether a transaction pooler is between us and the server: `first` is an open connection, and idle.
///
/// Through one, a second connection is served by the backend that just served the first, and that backend was there before
/// the second connection was asked for. A pooler that is busy may give it another, so it is asked more than once.
pub(crate) async fn is_pooled(
    first: &mut PgConnection,
    settings: &PostgreSqlSettings,
    server: &Server,
) -> Result<bool, DriverError> {
    const ROUNDS: usize = 3;
    for _ in 0..ROUNDS {
        let explain = |error| server.explain(Stage::Connecting, error);
        let asked = first.fetch_one("SELECT extract(epoch FROM clock_timestamp())::text");
        let now = within(settings.connection_timeout, server, asked).await?;
        let now: String = now.try_get(0).map_err(explain)?;
        let mut second = open(settings, server).await?;
        let is_older =
            format!("SELECT backend_start < to_timestamp({now}) FROM pg_stat_activity WHERE pid = pg_backend_pid()");
        let older = within(settings.connection_timeout, server, second.fetch_one(AssertSqlSafe(is_older))).await?;
        let older: bool = older.try_get(0).map_err(explain)?;
        // Its end is nobody's business any more.
        let _ = second.close().await;
        if older {
            return Ok(true);
        }
    }
    Ok(false)
}
