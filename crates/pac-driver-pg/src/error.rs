//! From the server's codes to the few outcomes of the contract, with the setting or grant to look at.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use pac_concurrency::{DriverError, Fault};
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// How the library's error begins if the server has no TLS; it has no kind that could be asked for.
const NO_TLS: &str = "error performing TLS handshake";

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStage {
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
    /// Whose rights the user has there: its own, but for `ALTER ROLE … SET role`.
    pub(crate) acts_as: String,
    /// Whether the database has a place for every character.
    pub(crate) is_unicode: bool,
    /// Whether the database has the function `commit_at`.
    pub(crate) has_commit_at: bool,
}

// === impl Server ===

impl Server {
    /// What `error` comes to.
    pub(crate) fn explain(&self, stage: CallStage, error: Error) -> DriverError {
        if let Some(answer) = error.as_db_error() {
            return self.explain_answer(stage, answer);
        }
        let kind = match cause::<io::Error>(&error) {
            Some(cause) => cause.kind(),
            None if is_about_rows(&error) => {
                let what = format!("a row in {} is not what this version writes", self.database);
                return DriverError::Corrupt(Fault::because(what, error));
            }
            None => ErrorKind::Other,
        };
        self.broken(stage, kind, error)
    }

    /// Why the connection, to a server that is there, was not opened. `peculiarity` is what it is about its certificate.
    pub(crate) fn not_opened(&self, error: Error, peculiarity: impl FnOnce() -> Option<String>) -> DriverError {
        if error.as_db_error().is_some() {
            return self.explain(CallStage::Connecting, error);
        }
        match cause::<rustls::Error>(&error) {
            Some(rustls::Error::AlertReceived(alert)) => {
                let what = format!(
                    "no TLS with {}, which hung up on us ({alert:?}): it refuses the certificate of this watcher or wants one \
                     (postgresql-ssl-cert-file, postgresql-ssl-key-file), or has no way of TLS in common with it",
                    self.address
                );
                DriverError::Rejected(Fault::because(what, error))
            }
            Some(_) => self.no_tls(peculiarity(), error),
            None if error.to_string().starts_with(NO_TLS) => self.no_tls(None, error),
            None => self.explain(CallStage::Connecting, error),
        }
    }

    /// It is a standby, or made read-only.
    pub(crate) fn takes_no_writes(&self) -> String {
        format!(
            "{} takes no writes; it is a standby, or made read-only: postgresql-host should lead to the primary",
            self.address
        )
    }

    /// The server's certificate, or that it has none, is in the way; `peculiarity` is what it is about it.
    pub(crate) fn no_tls(
        &self,
        peculiarity: Option<String>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> DriverError {
        let why = peculiarity.unwrap_or_else(|| "see postgresql-ssl-mode and postgresql-ssl-ca-file".to_owned());
        DriverError::Rejected(Fault::because(format!("no TLS with {}: {why}", self.address), cause))
    }

    /// Its host's name leads nowhere.
    pub(crate) fn unknown_host(&self, cause: io::Error) -> DriverError {
        self.broken(CallStage::Connecting, ErrorKind::Other, cause)
    }

    /// Nobody is there, or nobody answers.
    pub(crate) fn unreachable(&self, cause: io::Error) -> DriverError {
        self.broken(CallStage::Connecting, cause.kind(), cause)
    }

    /// No answer within the deadline.
    pub(crate) fn silent_within(&self, stage: CallStage, deadline: Duration) -> DriverError {
        self.broken(stage, ErrorKind::TimedOut, format!("no answer within {deadline:?}"))
    }

    /// It did what it was asked, but the standby that is to have it, too, may not.
    pub(crate) fn alone_has_it(&self, stage: CallStage) -> DriverError {
        let what =
            format!("{} was made to wait for its standby no longer: what it did may be lost with it", self.address);
        match stage {
            CallStage::Writing => DriverError::Indeterminate(Fault::new(what)),
            CallStage::Connecting | CallStage::Upgrading | CallStage::Reading => {
                DriverError::Unavailable(Fault::new(what))
            }
        }
    }

    fn broken(
        &self,
        stage: CallStage,
        kind: ErrorKind,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> DriverError {
        let address = &self.address;
        let what = match (stage, kind) {
            (_, ErrorKind::ConnectionRefused) => {
                format!("connection refused by {address}: see postgresql-host and postgresql-port")
            }
            (CallStage::Connecting, ErrorKind::TimedOut) => format!(
                "no connection to {address} within postgresql-connection-timeout: see postgresql-host and postgresql-port"
            ),
            (CallStage::Connecting, _) => {
                format!("no connection to {address}: see postgresql-host and postgresql-port")
            }
            (_, ErrorKind::TimedOut) => format!("{address} did not answer in time"),
            _ => format!("the connection to {address} broke"),
        };
        let fault = Fault::because(what, cause);
        match stage {
            CallStage::Connecting | CallStage::Upgrading | CallStage::Reading => DriverError::Unavailable(fault),
            CallStage::Writing => DriverError::Indeterminate(fault),
        }
    }

    /// The server's own answer, by its SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    fn explain_answer(&self, stage: CallStage, answer: &DbError) -> DriverError {
        let Self { address, database, username, .. } = self;
        let code = answer.code().code();
        let said = format!("{}: {} (SQLSTATE {code})", answer.severity(), answer.message());
        let unavailable = |what: String| DriverError::Unavailable(Fault::because(what, said.clone()));
        let rejected = |what: String| DriverError::Rejected(Fault::because(what, said.clone()));
        match code {
            "40001" | "40P01" if stage == CallStage::Writing => DriverError::Conflict,
            "28P01" | "28000" => rejected(format!(
                "authentication failed for user {username:?} at {address}: see postgresql-username, the key \
                 postgresql-password of the Secret, postgresql-ssl-mode, postgresql-ssl-cert-file if the server asks for a \
                 certificate, and its pg_hba.conf"
            )),
            "3D000" => rejected(format!("there is no database {database:?} at {address}: see postgresql-database")),
            // PostgreSQL names some right or other, and no grant makes this user the owner.
            "42501" if stage == CallStage::Upgrading => {
                rejected("permission denied: a schema is its owner's to change".to_owned())
            }
            "42501" => rejected(format!("permission denied: {}", self.missing_grant(answer.message()))),
            "3F000" | "42P01" | "42883" => rejected(format!(
                "schema pac_concurrency in database {database:?} is not whole: something in it was dropped; restart to \
                 have it made anew, or restore it"
            )),
            "53100" => unavailable(format!("the disk of {address} is full: free some space there")),
            "53300" => unavailable(format!(
                "{address} has too many connections: raise its max_connections or lower postgresql-max-connections"
            )),
            "25006" => unavailable(self.takes_no_writes()),
            "57014" => unavailable(format!(
                "{address} cancelled the statement: if nobody did so by hand, statement_timeout is too short for user \
                 {username:?}"
            )),
            // The server may have committed before it went down.
            "57P01" | "57P02" | "57P05" if stage == CallStage::Writing => {
                DriverError::Indeterminate(Fault::because(format!("{address} is shutting down"), said))
            }
            "57P01" | "57P02" | "57P03" | "57P05" => unavailable(format!("{address} is starting up or shutting down")),
            "XX001" | "XX002" => {
                DriverError::Corrupt(Fault::because(format!("{address} found its own files damaged"), said))
            }
            other => match other.get(..2) {
                // A pooler's own failures come as 08P01.
                Some("08") if stage == CallStage::Writing => {
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
    match error.code() {
        // On a standby for example: the next connection may lead to the primary.
        Some(code) => code.code() == "25006" || code.code().starts_with("57P") || code.code().starts_with("08"),
        None => !is_about_rows(error),
    }
}

/// Whether the answer came whole and is not what was expected.
fn is_about_rows(error: &Error) -> bool {
    let text = error.to_string();
    ["error deserializing", "invalid column", "query returned"].iter().any(|words| text.starts_with(words))
}

/// What kept every one of several servers, or addresses of one, from being used.
pub(crate) fn none_takes_writes(mut failures: Vec<DriverError>) -> DriverError {
    let refused = failures.iter().position(|error| matches!(error, DriverError::Rejected(_)));
    match (refused, failures.len()) {
        // What only a person can change is what that person should see.
        (Some(at), _) => failures.swap_remove(at),
        (None, 1) => failures.swap_remove(0),
        (None, _) => {
            let mut each: Vec<&str> = failures.iter().map(DriverError::reason).collect();
            // The addresses of one name often fail alike.
            each.dedup();
            match each.as_slice() {
                [] => DriverError::Unavailable(Fault::new("the name in postgresql-host has no address")),
                [one] => DriverError::Unavailable(Fault::new(*one)),
                several => DriverError::Unavailable(Fault::new(several.join("; "))),
            }
        }
    }
}

/// The first error of type `T` behind `error`; what is inside an [`io::Error`] is not among its sources, but itself.
fn cause<'e, T: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e T> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

// === impl Server ===

impl Server {
    /// The statement that helps, from what the server says is missing.
    fn missing_grant(&self, message: &str) -> String {
        let (database, role) = (&self.database, quoted(&self.acts_as));
        let needed = if message.contains("concurrency_slots") {
            format!("GRANT SELECT ON public.concurrency_slots TO {role}")
        } else if message.contains("database") {
            format!("GRANT CREATE, CONNECT ON DATABASE {} TO {role}", quoted(database))
        } else if message.contains("schema") {
            format!("GRANT USAGE ON SCHEMA pac_concurrency TO {role}")
        } else if message.contains("function") {
            format!("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pac_concurrency TO {role}")
        } else {
            self.tables_grant()
        };
        format!("{} lacks a right in database {database:?}; run there: {needed}", self.user())
    }

    /// All that is needed on tables that are there.
    pub(crate) fn tables_grant(&self) -> String {
        format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pac_concurrency TO {}",
            quoted(&self.acts_as)
        )
    }

    /// The user, and whose rights it has if not its own.
    pub(crate) fn user(&self) -> String {
        let Self { username, acts_as, .. } = self;
        if acts_as == username {
            format!("user {username:?}")
        } else {
            format!("user {username:?} (with the rights of role {acts_as:?}, by ALTER ROLE … SET role)")
        }
    }
}

pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        let text = str::to_owned;
        Server {
            address: text("db:5432"),
            database: text("pac_concurrency"),
            username: text("pac_user"),
            acts_as: text("pac_owner"),
            is_unicode: true,
            has_commit_at: true,
        }
    }

    #[test]
    fn a_missing_right_is_granted_to_the_role_that_lacks_it() {
        let grant = server().missing_grant("permission denied for table slots");
        assert!(grant.contains("with the rights of role \"pac_owner\""), "{grant}");
        assert!(grant.ends_with("TO \"pac_owner\""), "{grant}");
    }

    #[test]
    fn of_several_servers_each_ones_reason_is_told_or_the_one_a_person_must_settle() {
        let refused = |address: &str| {
            let server = Server { address: address.to_owned(), ..server() };
            server.unreachable(ErrorKind::ConnectionRefused.into())
        };
        let standby = DriverError::Unavailable(Fault::new(server().takes_no_writes()));
        let all = none_takes_writes(vec![refused("db1:5432"), standby]);
        assert_eq!(all.kind(), "unavailable");
        assert!(
            all.reason().contains("connection refused by db1:5432") && all.reason().contains("db:5432 takes no writes")
        );
        assert_eq!(none_takes_writes(vec![refused("db"), refused("db")]).reason(), refused("db").reason());
        let rejected = DriverError::Rejected(Fault::new("authentication failed"));
        assert_eq!(none_takes_writes(vec![refused("db1"), rejected]).kind(), "rejected");
    }

    #[test]
    fn silence_is_unavailable_before_anything_is_sent_and_indeterminate_after() {
        let kinds = [CallStage::Connecting, CallStage::Upgrading, CallStage::Reading, CallStage::Writing]
            .map(|stage| server().silent_within(stage, Duration::from_secs(1)).kind());
        assert_eq!(kinds, ["unavailable", "unavailable", "unavailable", "indeterminate"]);
    }
}
