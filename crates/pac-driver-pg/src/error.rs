//! From the server's codes to the few outcomes of the contract, with the setting or grant to look at.

use std::io::ErrorKind;

use pac_concurrency::{DriverError, Fault};
use sqlx::Error;
use sqlx::error::DatabaseError;

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was sent but what opens a connection.
    Connecting,
    /// The schema is changed: all of it or nothing, and done again if nobody knows.
    Upgrading,
    /// Nothing can have changed.
    Reading,
    /// It may have happened, unless the server says otherwise.
    Writing,
}

/// Who was asked, for messages.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) database: String,
    pub(crate) username: String,
}

// === impl Server ===

impl Server {
    /// What `error` comes to.
    pub(crate) fn explain(&self, stage: Stage, error: Error) -> DriverError {
        let kind = match &error {
            Error::Database(answer) => return self.explain_answer(stage, error.to_string(), &**answer),
            Error::Tls(_) => return self.no_tls(error),
            // So rustls says that it doesn't like the certificate.
            Error::Io(cause) if stage == Stage::Connecting && cause.kind() == ErrorKind::InvalidData => {
                return self.no_tls(error);
            }
            Error::Io(cause) => cause.kind(),
            Error::Configuration(_) => {
                let what = "the connection can't be set up as configured: see the postgresql-* settings";
                return DriverError::Rejected(Fault::because(what, error));
            }
            Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
                let what = format!("a row in {} is not what this version writes", self.database);
                return DriverError::Corrupt(Fault::because(what, error));
            }
            Error::PoolTimedOut => ErrorKind::TimedOut,
            _ => ErrorKind::Other,
        };
        self.broken(stage, kind, error)
    }

    /// It is a standby, or made read-only.
    pub(crate) fn takes_no_writes(&self) -> String {
        format!(
            "{} takes no writes; it is a standby, or made read-only: postgresql-host should lead to the primary",
            self.address
        )
    }

    fn no_tls(&self, error: Error) -> DriverError {
        let what = format!("no TLS with {}: see postgresql-ssl-mode and postgresql-ssl-ca-file", self.address);
        DriverError::Rejected(Fault::because(what, error))
    }

    /// No answer within the deadline.
    pub(crate) fn silent(&self, stage: Stage) -> DriverError {
        self.broken(stage, ErrorKind::TimedOut, "no answer within the deadline")
    }

    fn broken(
        &self,
        stage: Stage,
        kind: ErrorKind,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> DriverError {
        let address = &self.address;
        let what = match (stage, kind) {
            (_, ErrorKind::ConnectionRefused) => {
                format!("connection refused by {address}: see postgresql-host and postgresql-port")
            }
            (Stage::Connecting, ErrorKind::TimedOut) => format!(
                "no connection to {address} within postgresql-connection-timeout: see postgresql-host, postgresql-port \
                 and postgresql-max-connections"
            ),
            (Stage::Connecting, _) => format!("no connection to {address}: see postgresql-host and postgresql-port"),
            (_, ErrorKind::TimedOut) => format!("{address} did not answer in time"),
            _ => format!("the connection to {address} broke"),
        };
        let fault = Fault::because(what, cause);
        match stage {
            Stage::Connecting | Stage::Upgrading | Stage::Reading => DriverError::Unavailable(fault),
            Stage::Writing => DriverError::Indeterminate(fault),
        }
    }

    /// The server's own answer, by its SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn explain_answer(&self, stage: Stage, text: String, answer: &dyn DatabaseError) -> DriverError {
        let Self { address, database, username } = self;
        let code = answer.code().unwrap_or_default().into_owned();
        let said = format!("{text} (SQLSTATE {code})");
        let unavailable = |what: String| DriverError::Unavailable(Fault::because(what, said.clone()));
        let rejected = |what: String| DriverError::Rejected(Fault::because(what, said.clone()));
        match code.as_str() {
            "40001" | "40P01" if stage == Stage::Writing => DriverError::Conflict,
            "28P01" | "28000" => rejected(format!(
                "authentication failed for user {username:?} at {address}: see postgresql-username, the key \
                 postgresql-password of the Secret, postgresql-ssl-mode, and the server's pg_hba.conf"
            )),
            "3D000" => rejected(format!("there is no database {database:?} at {address}: see postgresql-database")),
            // PostgreSQL names some right or other, and no grant makes this user the owner.
            "42501" if stage == Stage::Upgrading => {
                rejected("permission denied: a schema is its owner's to change".to_owned())
            }
            "42501" => rejected(format!("permission denied: {}", missing_grant(answer.message(), database, username))),
            "3F000" | "42P01" | "42883" => rejected(format!(
                "schema pac_concurrency in database {database:?} is not whole: something in it was dropped; restart to \
                 have it made anew, or restore it"
            )),
            "53100" => unavailable(format!("the disk of {address} is full: free some space there")),
            "53300" => unavailable(format!(
                "{address} has too many connections: raise its max_connections or lower postgresql-max-connections"
            )),
            "25006" => unavailable(self.takes_no_writes()),
            "57014" => unavailable(format!("{address} cancelled the statement")),
            // The server may have committed before it went down.
            "57P01" | "57P02" | "57P05" if stage == Stage::Writing => {
                DriverError::Indeterminate(Fault::because(format!("{address} is shutting down"), said))
            }
            "57P01" | "57P02" | "57P03" | "57P05" => unavailable(format!("{address} is starting up or shutting down")),
            "XX001" | "XX002" => {
                DriverError::Corrupt(Fault::because(format!("{address} found its own files damaged"), said))
            }
            other => match other.get(..2) {
                // A pooler's own failures come as 08P01.
                Some("08") if stage == Stage::Writing => {
                    DriverError::Indeterminate(Fault::because(format!("the connection to {address} failed"), said))
                }
                Some("08" | "40" | "53" | "55" | "57" | "58" | "XX") => {
                    unavailable(format!("{address} can't do it now"))
                }
                _ => rejected(format!("{address} refused a statement of this program")),
            },
        }
    }
}

/// Whether the connection is of no use after `error`.
pub(crate) fn spoils_connection(error: &Error) -> bool {
    match error {
        // On a standby for example: the next connection may lead to the primary.
        Error::Database(answer) => {
            answer.code().is_some_and(|code| code == "25006" || code.starts_with("57P") || code.starts_with("08"))
        }
        Error::RowNotFound | Error::ColumnDecode { .. } | Error::Decode(_) => false,
        _ => true,
    }
}

/// The statement that helps, from what the server says is missing.
fn missing_grant(message: &str, database: &str, username: &str) -> String {
    let user = quoted(username);
    let needed = if message.contains("concurrency_slots") {
        format!("GRANT SELECT ON public.concurrency_slots TO {user}")
    } else if message.contains("database") {
        format!("GRANT CREATE, CONNECT ON DATABASE {} TO {user}", quoted(database))
    } else if message.contains("schema") {
        format!("GRANT USAGE ON SCHEMA pac_concurrency TO {user}")
    } else if message.contains("function") {
        format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pac_concurrency TO {user}")
    } else {
        tables_grant(username)
    };
    format!("user {username:?} lacks a right in database {database:?}; run there: {needed}")
}

/// All that is needed on tables that are there.
pub(crate) fn tables_grant(username: &str) -> String {
    format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO {}", quoted(username))
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
