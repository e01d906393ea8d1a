//! The schema `pac_concurrency`, brought up to date.
//!
//! One transaction under one advisory lock, in the simple protocol: a session's lock and named statements don't survive a
//! transaction pooler.

use std::time::Duration;

use pac_concurrency::{DriverError, Fault, Schema};
use tokio_postgres::Error;
use tracing::info;

use crate::connect::{within, within_at};
use crate::error::{CallStage, Server};
use crate::session::Session;

/// Each brings the schema from one version to the next; the first makes version 1. Never changed once released.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001_slots_and_queues.sql"),
    include_str!("../migrations/0002_past.sql"),
    include_str!("../migrations/0003_commit_by_keys.sql"),
];

/// Taken for the time of a migration; a number of no meaning.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7226083011)";

const VERSION: &str = "SELECT coalesce(max(version), 0) FROM pac_concurrency.migrations";

const COMMIT_AT: &str = include_str!("../sql/create_commit_at.sql");

const IS_COMMIT_AT_WANTING: &str = "SELECT has_schema_privilege('pac_concurrency', 'CREATE') AND NOT EXISTS
    (SELECT FROM pg_proc WHERE pronamespace = 'pac_concurrency'::regnamespace AND proname = 'commit_at')";

const PREPARE: &str = "CREATE SCHEMA IF NOT EXISTS pac_concurrency;
    CREATE TABLE IF NOT EXISTS pac_concurrency.migrations
        (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());";

/// How long one migration may take.
const MIGRATED_WITHIN: Duration = Duration::from_secs(600);

/// Creates or upgrades the schema. Any number of watchers may do so at once; each waits for the others for as long as for the
/// answer to a question, `patience`.
pub(crate) async fn migrate(connection: &mut Session, patience: Duration, server: &Server) -> Result<(), DriverError> {
    migrate_by(MIGRATIONS, connection, patience, server).await?;
    add_commit_at(connection, patience, server).await
}

/// Adds the function `commit_at`, if it isn't there and we may. No migration: the schema stays what watchers of before know, and
/// where nobody may add it there is `commit`.
async fn add_commit_at(connection: &mut Session, patience: Duration, server: &Server) -> Result<(), DriverError> {
    if !within(patience, server, is_wanting(connection)).await? {
        return Ok(());
    }
    within(patience, server, connection.execute("BEGIN")).await?;
    lock(connection, patience, server).await?;
    if within(patience, server, is_wanting(connection)).await? {
        let added = within_at(CallStage::Upgrading, patience, server, connection.execute(COMMIT_AT)).await;
        if let Err(DriverError::Rejected(fault)) = added {
            info!(why = fault.what, "the function pac_concurrency.commit_at can't be added; commits do without");
            return within(patience, server, connection.execute("ROLLBACK")).await;
        }
        added?;
    }
    within(patience, server, connection.execute("COMMIT")).await
}

/// Whether there is no function `commit_at`, and we may add it.
async fn is_wanting(connection: &mut Session) -> Result<bool, Error> {
    Ok(first(connection, IS_COMMIT_AT_WANTING).await?.as_deref() == Some("t"))
}

async fn migrate_by(
    migrations: &'static [&str],
    connection: &mut Session,
    patience: Duration,
    server: &Server,
) -> Result<(), DriverError> {
    let newest = i32::try_from(migrations.len()).unwrap_or(i32::MAX);
    // A user with no right to create anything can still use a schema that is up to date.
    if within(patience, server, is_there(connection)).await? {
        let found = within(patience, server, version(connection)).await?;
        check(found, newest, server)?;
        if found == newest {
            return Ok(());
        }
    }
    upgrade(migrations, newest, connection, patience, server).await
}

/// What is there, and what [`migrate`] would make of it.
pub(crate) async fn schema(
    connection: &mut Session,
    patience: Duration,
    server: &Server,
) -> Result<Schema, DriverError> {
    let newest = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    let found = match within(patience, server, is_there(connection)).await? {
        true => within(patience, server, version(connection)).await?,
        false => 0,
    };
    check(found, newest, server)?;
    let (found, wanted) = (found.unsigned_abs(), newest.unsigned_abs());
    Ok(match found {
        0 => Schema::Missing { wanted },
        _ if found < wanted => Schema::Older { found, wanted },
        _ => Schema::Current { version: found },
    })
}

async fn upgrade(
    migrations: &'static [&str],
    newest: i32,
    connection: &mut Session,
    patience: Duration,
    server: &Server,
) -> Result<(), DriverError> {
    within(patience, server, connection.execute("BEGIN")).await?;
    lock(connection, patience, server).await?;
    if !within(patience, server, is_there(connection)).await? {
        within(patience, server, connection.execute(PREPARE)).await?;
    }
    let found = within(patience, server, version(connection)).await?;
    check(found, newest, server)?;
    for (version, migration) in (1..).zip(migrations).filter(|(version, _)| *version > found) {
        let migrated = within_at(CallStage::Upgrading, MIGRATED_WITHIN, server, connection.execute(migration)).await;
        migrated.map_err(|error| upgrade_refused(error, found, newest, server))?;
        let applied = format!("INSERT INTO pac_concurrency.migrations (version) VALUES ({version})");
        within(patience, server, connection.execute(&applied)).await?;
        info!(version, "schema pac_concurrency in database {} brought up to date", server.database);
    }
    within(patience, server, connection.execute("COMMIT")).await?;
    Ok(())
}

/// Who may use a schema need not be allowed to change it.
fn upgrade_refused(error: DriverError, found: i32, newest: i32, server: &Server) -> DriverError {
    match error {
        DriverError::Rejected(fault) if found > 0 => DriverError::Rejected(Fault::because(
            format!(
                "schema pac_concurrency in database {} is of version {found}, this program needs {newest}, and user {:?} may not \
                 bring it up to date: start this program once with postgresql-username of the schema's owner",
                server.database, server.username
            ),
            fault,
        )),
        other => other,
    }
}

/// Waits until no other watcher is at it, but not for ever: one that is frozen holds the lock as long as its connection lives.
async fn lock(connection: &mut Session, patience: Duration, server: &Server) -> Result<(), DriverError> {
    let milliseconds = patience.as_millis();
    let patient = format!("SET LOCAL lock_timeout = '{milliseconds}ms'");
    within(patience, server, connection.execute(&patient)).await?;
    match within(patience + patience, server, connection.execute(LOCK)).await {
        Err(DriverError::Unavailable(fault)) => Err(DriverError::Unavailable(Fault::because(
            format!(
                "waited {milliseconds} ms (postgresql-connection-timeout) for another session to bring schema pac_concurrency \
                 in database {} up to date: a watcher that is frozen, or far away? pg_locks has it as an advisory lock",
                server.database
            ),
            fault,
        ))),
        locked => locked.map(drop),
    }
}

fn check(found: i32, newest: i32, server: &Server) -> Result<(), DriverError> {
    if found <= newest {
        return Ok(());
    }
    Err(DriverError::Rejected(Fault::new(format!(
        "schema pac_concurrency in database {} is of version {found}, and this program knows versions up to {newest}: run \
         the newer program",
        server.database,
    ))))
}

async fn is_there(connection: &mut Session) -> Result<bool, Error> {
    let there = first(connection, "SELECT to_regclass('pac_concurrency.migrations') IS NOT NULL").await?;
    Ok(there.as_deref() == Some("t"))
}

async fn version(connection: &mut Session) -> Result<i32, Error> {
    Ok(first(connection, VERSION).await?.and_then(|version| version.parse().ok()).unwrap_or_default())
}

/// The one value that `statement` answers.
async fn first(connection: &mut Session, statement: &str) -> Result<Option<String>, Error> {
    Ok(connection.texts(statement).await?.into_iter().flatten().next().flatten())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pac_devservers::postgres::Postgres;

    use super::*;
    use crate::connect::Connector;
    use crate::testing::settings;

    #[tokio::test]
    async fn a_newer_program_upgrades_and_the_older_one_then_stops() {
        let postgres = Postgres::start().unwrap();
        let mut connection = Connector::new(settings(&postgres)).session().await.unwrap();
        let server = Arc::clone(&connection.server);
        let newer: &'static [&str] =
            [MIGRATIONS, &["CREATE TABLE pac_concurrency.newer (one integer)"]].concat().leak();
        migrate_by(&MIGRATIONS[..1], &mut connection, Duration::from_secs(30), &server).await.unwrap();
        migrate_by(MIGRATIONS, &mut connection, Duration::from_secs(30), &server).await.unwrap();
        connection.execute("INSERT INTO pac_concurrency.repositories VALUES ('ns/repo', 1, 0)").await.unwrap();
        migrate_by(newer, &mut connection, Duration::from_secs(30), &server).await.unwrap();
        migrate_by(newer, &mut connection, Duration::from_secs(30), &server).await.unwrap();
        let known = MIGRATIONS.len();
        assert_eq!(version(&mut connection).await.unwrap() as usize, known + 1);
        let kept = first(&mut connection, "SELECT count(*) FROM pac_concurrency.repositories").await.unwrap();
        assert_eq!(kept.as_deref(), Some("1"));
        let error = migrate_by(MIGRATIONS, &mut connection, Duration::from_secs(30), &server).await.unwrap_err();
        let said = format!("version {}, and this program knows versions up to {known}", known + 1);
        assert!(error.to_string().contains(&said), "{error}");
    }
}
