//! A look at a server that changes nothing there: what schema it has, and whether the user may write.

use std::time::Duration;

use pac_concurrency::{DriverError, Fault, Inspection, Schema, ServerInfo};
use tokio_postgres::Row;

use crate::connect::within;
use crate::error::{CallStage, Server, quoted};
use crate::migrate;
use crate::session::Session;

const VERSION: &str = "SELECT current_setting('server_version')";
const MAY_PREPARE: &str = include_str!("../sql/may_prepare.sql");
pub(crate) const MISSING_RIGHTS: &str = include_str!("../sql/missing_rights.sql");

/// What is there, on a connection that is open.
pub(crate) async fn inspect(
    connection: &mut Session,
    patience: Duration,
    server: &Server,
) -> Result<Inspection, DriverError> {
    let version = within(patience, server, connection.texts(VERSION)).await?;
    let version = version.into_iter().flatten().flatten().next().unwrap_or_default();
    let schema = migrate::schema(connection, patience, server).await?;
    let cannot_write = match schema {
        Schema::Missing { .. } | Schema::Older { .. } => {
            let answer = within(patience, server, connection.texts(MAY_PREPARE)).await?;
            let mut answer = answer.into_iter().flatten().map(|value| value.as_deref() == Some("t"));
            let (may_create, owns_all) = (answer.next() == Some(true), answer.next() == Some(true));
            why_not_prepare(schema, may_create, owns_all, server)
        }
        Schema::Current { .. } | Schema::Unneeded => {
            let missing = within(patience, server, connection.texts(MISSING_RIGHTS)).await?;
            let lacking = missing.iter().filter_map(|row| match row.as_slice() {
                [Some(object), Some(privilege)] => Some(format!("{privilege} on {object}")),
                _ => None,
            });
            lacking_in_words(&lacking.collect::<Vec<_>>(), server)
        }
    };
    let address = format!("{}/{}", server.address, server.database);
    let server = ServerInfo { server: format!("PostgreSQL {version}"), address };
    Ok(Inspection { server, schema, cannot_write })
}

fn why_not_prepare(schema: Schema, may_create: bool, owns_all: bool, server: &Server) -> Option<String> {
    let (user, database) = (server.user(), &server.database);
    match schema {
        Schema::Missing { .. } if !may_create => Some(format!(
            "permission denied: {user} may not create schema pac_concurrency in database {database:?}; run there: GRANT \
             CREATE, CONNECT ON DATABASE {} TO {}",
            quoted(database),
            quoted(&server.acts_as)
        )),
        Schema::Older { .. } if !(may_create && owns_all) => Some(format!(
            "permission denied: {user} may not bring schema pac_concurrency up to date: start this program once with \
             postgresql-username of the schema's owner"
        )),
        _ => None,
    }
}

/// An error if the rows of [`MISSING_RIGHTS`] are any.
pub(crate) fn may_write(rows: &[Row], server: &Server) -> Result<(), DriverError> {
    let lacking = rows.iter().map(|row| {
        let (object, privilege): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        Ok(format!("{privilege} on {object}"))
    });
    let lacking: Vec<String> =
        lacking.collect::<Result<_, _>>().map_err(|error| server.explain(CallStage::Reading, error))?;
    match lacking_in_words(&lacking, server) {
        None => Ok(()),
        Some(missing) => Err(DriverError::Rejected(Fault::new(missing))),
    }
}

fn lacking_in_words(lacking: &[String], server: &Server) -> Option<String> {
    (!lacking.is_empty()).then(|| {
        format!(
            "permission denied: {} lacks {} in schema pac_concurrency of database {:?}; run there: {}",
            server.user(),
            lacking.join(", "),
            server.database,
            server.tables_grant()
        )
    })
}
