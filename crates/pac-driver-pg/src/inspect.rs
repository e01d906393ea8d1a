//! A look at a server that changes nothing there: what schema it has, and whether the user may write.

use std::time::Duration;

use pac_concurrency::{DriverError, Fault, Inspection, Schema, ServerInfo};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Executor, Row};

use crate::connect::within;
use crate::error::{Server, Stage, quoted, tables_grant};
use crate::migrate;

const SERVER: &str = include_str!("../sql/server.sql");
const MAY_PREPARE: &str = include_str!("../sql/may_prepare.sql");
pub(crate) const MISSING_RIGHTS: &str = include_str!("../sql/missing_rights.sql");

/// What is there, on a connection that is open.
pub(crate) async fn inspect(
    connection: &mut PgConnection,
    patience: Duration,
    server: &Server,
) -> Result<Inspection, DriverError> {
    let (version, takes_writes) = within(patience, server, describe(connection)).await?;
    let schema = migrate::schema(connection, patience, server).await?;
    let cannot_write = match schema {
        _ if !takes_writes => Some(server.takes_no_writes()),
        Schema::Missing { .. } | Schema::Older { .. } => {
            let (may_create, owns_all) = within(patience, server, may_prepare(connection)).await?;
            why_not_prepare(schema, may_create, owns_all, server)
        }
        Schema::Current { .. } | Schema::Unneeded => {
            let missing = within(patience, server, connection.fetch_all(MISSING_RIGHTS)).await?;
            missing_rights(&missing, server)?
        }
    };
    let address = format!("{}/{}", server.address, server.database);
    let server = ServerInfo { server: format!("PostgreSQL {version}"), address };
    Ok(Inspection { server, schema, cannot_write })
}

/// The server's version, and whether it takes writes.
async fn describe(connection: &mut PgConnection) -> Result<(String, bool), sqlx::Error> {
    let row = connection.fetch_one(SERVER).await?;
    Ok((row.try_get("version")?, !row.try_get::<bool, _>("standby")? && !row.try_get::<bool, _>("read_only")?))
}

async fn may_prepare(connection: &mut PgConnection) -> Result<(bool, bool), sqlx::Error> {
    let row = connection.fetch_one(MAY_PREPARE).await?;
    Ok((row.try_get("may_create")?, row.try_get("owns_all")?))
}

fn why_not_prepare(schema: Schema, may_create: bool, owns_all: bool, server: &Server) -> Option<String> {
    let (user, database) = (quoted(&server.username), quoted(&server.database));
    match schema {
        Schema::Missing { .. } if !may_create => Some(format!(
            "permission denied: user {:?} may not create schema pac_concurrency in database {:?}; run there: GRANT CREATE, \
             CONNECT ON DATABASE {database} TO {user}",
            server.username, server.database
        )),
        Schema::Older { .. } if !(may_create && owns_all) => Some(format!(
            "permission denied: user {:?} may not bring schema pac_concurrency up to date: start this program once with \
             postgresql-username of the schema's owner",
            server.username
        )),
        _ => None,
    }
}

/// An error if the rows of [`MISSING_RIGHTS`] are any.
pub(crate) fn may_write(rows: &[PgRow], server: &Server) -> Result<(), DriverError> {
    match missing_rights(rows, server)? {
        None => Ok(()),
        Some(missing) => Err(DriverError::Rejected(Fault::new(missing))),
    }
}

/// What the rows of [`MISSING_RIGHTS`] come to, if there are any.
fn missing_rights(rows: &[PgRow], server: &Server) -> Result<Option<String>, DriverError> {
    let lacking = rows.iter().map(|row| {
        let (object, privilege): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(format!("{privilege} on {object}"))
    });
    let lacking: Vec<String> =
        lacking.collect::<Result<_, _>>().map_err(|error| server.explain(Stage::Reading, error))?;
    Ok((!lacking.is_empty()).then(|| {
        format!(
            "permission denied: user {:?} lacks {} in schema pac_concurrency of database {:?}; run there: {}",
            server.username,
            lacking.join(", "),
            server.database,
            tables_grant(&server.username)
        )
    }))
}
