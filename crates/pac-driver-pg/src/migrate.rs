//! The schema `pac_concurrency`, brought up to date.
//!
//! One transaction under one advisory lock, in the simple protocol: sqlx's own migrator takes a session's lock and names
//! its statements, and neither survives a transaction pooler.

use pac_concurrency::{DriverError, Fault};
use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};
use tracing::info;

use crate::error::{Server, Stage};

/// Each brings the schema from one version to the next; the first makes version 1. Never changed once released.
const MIGRATIONS: &[&str] = &[include_str!("../migrations/0001_slots_and_queues.sql")];

/// Taken for the time of a migration; a number of no meaning.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7226083011)";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM pac_concurrency.migrations";

const PREPARE: &str = "CREATE SCHEMA IF NOT EXISTS pac_concurrency;
    CREATE TABLE IF NOT EXISTS pac_concurrency.migrations
        (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());";

/// Creates or upgrades the schema. Any number of watchers may do so at once.
pub(crate) async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<(), DriverError> {
    let explain = |error| server.explain(Stage::Connecting, error);
    // A user with no right to create anything can still use a schema that is up to date.
    if is_there(connection).await.map_err(explain)? {
        let found = version(connection).await.map_err(explain)?;
        check(found, server)?;
        if found == newest() {
            return Ok(());
        }
    }
    upgrade(connection, server).await
}

async fn upgrade(connection: &mut PgConnection, server: &Server) -> Result<(), DriverError> {
    let explain = |error| server.explain(Stage::Connecting, error);
    connection.execute("BEGIN").await.map_err(explain)?;
    connection.execute(LOCK).await.map_err(explain)?;
    if !is_there(connection).await.map_err(explain)? {
        connection.execute(PREPARE).await.map_err(explain)?;
    }
    let found = version(connection).await.map_err(explain)?;
    check(found, server)?;
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        connection.execute(*migration).await.map_err(explain)?;
        let applied = format!("INSERT INTO pac_concurrency.migrations (version) VALUES ({version})");
        connection.execute(sqlx::AssertSqlSafe(applied)).await.map_err(explain)?;
        info!(version, "schema pac_concurrency in database {} brought up to date", server.database);
    }
    connection.execute("COMMIT").await.map_err(explain)?;
    Ok(())
}

fn newest() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

fn check(found: i32, server: &Server) -> Result<(), DriverError> {
    if found <= newest() {
        return Ok(());
    }
    Err(DriverError::Rejected(Fault::new(format!(
        "schema pac_concurrency in database {} is of version {found}, and this program knows versions up to {}: run the \
         newer program",
        server.database,
        newest(),
    ))))
}

async fn is_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = connection.fetch_one("SELECT to_regclass('pac_concurrency.migrations') IS NOT NULL").await?;
    row.try_get(0)
}

async fn version(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one(VERSION).await?.try_get(0)
}
