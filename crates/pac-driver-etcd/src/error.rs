//! From etcd's codes and broken connections to the few outcomes of the contract, with the setting or grant to look at.

use std::error::Error as StdError;
use std::time::Duration;

use etcd_client::Error;
use pac_concurrency::{DriverError, Fault};
use tonic::{Code, ConnectError, Status};

/// How far a call had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallStage {
    /// Nothing was sent but what opens a connection.
    Connecting,
    /// Nothing can have changed.
    Reading,
    /// It may have happened, unless it certainly wasn't sent or the server says otherwise.
    Writing,
}

/// A call that failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: DriverError,
    /// Whether this member is of no use for now, or our session with it is over.
    pub(crate) ends_session: bool,
}

/// What is wrong, before it is known how much may have happened.
enum Kind {
    /// Never sent, or refused before anything was done.
    Nothing,
    /// It may have been done.
    Unsure,
    /// Refused for good.
    Refused,
}

/// Whom a session is with, for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// The URL.
    pub(crate) address: String,
    /// Who we are to it, if anybody.
    pub(crate) username: Option<String>,
}

/// The answers of etcd, by their words: most share a code with others that mean something else.
/// <https://github.com/etcd-io/etcd/blob/main/api/v3rpc/rpctypes/error.go>
const DATABASE_FULL: &str = "database space exceeded";
/// That a login ran out, or that users or roles were changed since. Said before anything is done, under several codes.
const LOGIN_OVER: [&str; 3] = ["invalid auth token", "revision of auth store is old", "revision in header is old"];
const COMPACTED: &str = "required revision has been compacted";
const LEASE_GONE: &str = "requested lease not found";
const LEASE_EXISTS: &str = "lease already exists";
const NO_AUTHENTICATION: &str = "authentication is not enabled";

// === impl Member ===

impl Member {
    /// What `error` comes to.
    pub(crate) fn explain(&self, stage: CallStage, error: Error) -> Failure {
        let address = &self.address;
        match &error {
            Error::GRpcStatus(status) => {
                let (kind, ends_session, what) = match connect_error(status) {
                    Some(cause) => self.unconnected(&chain(cause)),
                    None => self.answered(stage, status),
                };
                failure(stage, kind, ends_session, what, error)
            }
            Error::TransportError(_)
            | Error::InvalidUri(_)
            | Error::InvalidArgs(_)
            | Error::InvalidMetadataValue(_) => {
                let what =
                    format!("the connection to {address} can't be set up as configured: {}", tls_hint(&chain(&error)));
                failure(stage, Kind::Refused, true, what, error)
            }
            _ => failure(stage, Kind::Unsure, true, format!("the connection to {address} broke"), error),
        }
    }

    /// No answer within `deadline`.
    pub(crate) fn silent(&self, stage: CallStage, deadline: Duration) -> Failure {
        let address = &self.address;
        let (kind, what) = match stage {
            CallStage::Connecting => (
                Kind::Nothing,
                format!(
                    "no answer from {address} within etcd-dial-timeout ({deadline:?}): see etcd-endpoints, and whether most \
                     members of the cluster are up"
                ),
            ),
            _ => (Kind::Unsure, format!("{address} did not answer within {deadline:?}")),
        };
        failure(stage, kind, true, what, "no answer within the deadline")
    }

    fn unconnected(&self, cause: &str) -> (Kind, bool, String) {
        let address = &self.address;
        if is_about_tls(cause) {
            return (Kind::Refused, true, format!("no TLS with {address}: {}", tls_hint(cause)));
        }
        let what = if cause.contains("Connection refused") {
            format!("connection refused by {address}: see etcd-endpoints")
        } else if cause.contains("deadline has elapsed") || cause.contains("timed out") {
            format!("no connection to {address} within etcd-dial-timeout: see etcd-endpoints")
        } else if cause.contains("reset by peer") && address.starts_with("https:") {
            format!("{address} hung up on us: if it speaks no TLS, etcd-endpoints should say http://")
        } else {
            format!("no connection to {address}: see etcd-endpoints")
        };
        (Kind::Nothing, true, what)
    }

    fn answered(&self, stage: CallStage, status: &Status) -> (Kind, bool, String) {
        let (address, said) = (&self.address, status.message());
        let user = self.username.as_deref().unwrap_or_default();
        match status.code() {
            Code::PermissionDenied => (Kind::Refused, false, self.missing_grant()),
            _ if LOGIN_OVER.iter().any(|words| said.contains(words)) => {
                (Kind::Nothing, true, format!("{address} no longer knows our login; logging in again"))
            }
            Code::InvalidArgument if said.contains("authentication failed") => (
                Kind::Refused,
                true,
                format!(
                    "authentication failed for user {user:?} at {address}: see etcd-username, and etcd-password in the \
                     Secret or the ConfigMap"
                ),
            ),
            Code::InvalidArgument if said.contains("user name is empty") => (
                Kind::Refused,
                true,
                format!(
                    "authentication failed: {address} asks for a user, and none is configured: see etcd-username and \
                     etcd-password"
                ),
            ),
            Code::InvalidArgument if said.contains("too many operations") => (
                Kind::Refused,
                false,
                format!("{address} takes too few operations in a transaction: its --max-txn-ops should be 128 or more"),
            ),
            Code::ResourceExhausted if said.contains(DATABASE_FULL) => (Kind::Nothing, false, self.full()),
            // Said before anything is done.
            Code::ResourceExhausted => (Kind::Nothing, false, format!("{address} has too much to do at the moment")),
            Code::Unavailable if said.contains("no leader") => (
                Kind::Nothing,
                true,
                format!("{address} sees no leader: most of the cluster's members are down or cut off"),
            ),
            Code::OutOfRange if said.contains(COMPACTED) => {
                (Kind::Nothing, false, format!("{address} no longer has what was being read; reading again helps"))
            }
            Code::NotFound if said.contains(LEASE_GONE) => {
                (Kind::Nothing, false, format!("the lease at {address} ran out before it was used"))
            }
            Code::InvalidArgument | Code::FailedPrecondition | Code::NotFound | Code::Unimplemented => {
                (Kind::Refused, false, format!("{address} refused a request of this program: {said}"))
            }
            // The words are the transport's, not the server's.
            _ if status.source().is_some() => self.broken(stage, &chain(status)),
            // A change of leader, a shutdown, an overload: what was asked for may be done all the same.
            _ => (Kind::Unsure, true, format!("{address} can't do it now: {said}")),
        }
    }

    fn broken(&self, stage: CallStage, cause: &str) -> (Kind, bool, String) {
        let address = &self.address;
        let has_tls = address.starts_with("https:");
        if is_about_tls(cause) {
            return (Kind::Refused, true, format!("no TLS with {address}: {}", tls_hint(cause)));
        }
        match stage {
            // With TLS 1.3 a server looks at our certificate only once we are connected, and its reason often comes after
            // the connection is gone.
            CallStage::Connecting if has_tls => {
                let what = format!("no TLS with {address}, which hung up on us: {}", tls_hint("fatal alert"));
                (Kind::Refused, true, what)
            }
            CallStage::Connecting => {
                let what = format!("{address} hung up on us: if it expects TLS, etcd-endpoints should say https://");
                (Kind::Nothing, true, what)
            }
            _ => (Kind::Unsure, true, format!("the connection to {address} broke")),
        }
    }

    /// The database is at its quota.
    pub(crate) fn full(&self) -> String {
        format!(
            "the database of {} is full (alarm NOSPACE): compact and defragment it or raise --quota-backend-bytes, then: \
             etcdctl alarm disarm",
            self.address
        )
    }

    fn missing_grant(&self) -> String {
        let user = self.username.as_deref().unwrap_or_default();
        format!(
            "permission denied: user {user:?} at {} needs a role that was given: etcdctl role grant-permission ROLE \
             --prefix=true readwrite /pac/concurrency/v2/",
            self.address
        )
    }
}

fn failure(
    stage: CallStage,
    kind: Kind,
    ends_session: bool,
    what: String,
    cause: impl Into<Box<dyn StdError + Send + Sync>>,
) -> Failure {
    let fault = Fault::because(what, cause);
    let error = match (kind, stage) {
        (Kind::Refused, _) => DriverError::Rejected(fault),
        (Kind::Unsure, CallStage::Writing) => DriverError::Indeterminate(fault),
        (Kind::Nothing | Kind::Unsure, _) => DriverError::Unavailable(fault),
    };
    Failure { error, ends_session }
}

/// What no member of the cluster could be reached for, one failure each.
pub(crate) fn none_reached(mut failures: Vec<DriverError>) -> DriverError {
    let refused = failures.iter().position(|error| matches!(error, DriverError::Rejected(_)));
    match (refused, failures.len()) {
        // What only a person can change is what that person should see.
        (Some(at), _) => failures.swap_remove(at),
        (None, 1) => failures.swap_remove(0),
        (None, _) => {
            let each: Vec<&str> = failures.iter().map(DriverError::reason).collect();
            DriverError::Unavailable(Fault::new(format!("no member of etcd can be reached: {}", each.join("; "))))
        }
    }
}

/// Whether a read at an old revision came too late.
pub(crate) fn is_compacted(error: &DriverError) -> bool {
    has_said(error, COMPACTED)
}

/// Whether `error` says that there is no such lease.
pub(crate) fn is_lease_gone(error: &Error) -> bool {
    matches!(error, Error::LeaseKeepAliveError(_)) || said(error).contains(LEASE_GONE)
}

/// Whether `error` says that there already is such a lease.
pub(crate) fn is_lease_there(error: &Error) -> bool {
    said(error).contains(LEASE_EXISTS)
}

/// Whether the server has no users, so that nobody needs to log in.
pub(crate) fn needs_no_login(error: &Error) -> bool {
    said(error).contains(NO_AUTHENTICATION)
}

/// The answer, or none if what was asked is no business of ours.
pub(crate) fn if_allowed<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(Error::GRpcStatus(status)) if status.code() == Code::PermissionDenied => Ok(None),
        answer => answer.map(Some),
    }
}

fn has_said(error: &DriverError, words: &str) -> bool {
    error.source().is_some_and(|cause| cause.to_string().contains(words))
}

fn said(error: &Error) -> &str {
    match error {
        Error::GRpcStatus(status) => status.message(),
        _ => "",
    }
}

/// The error that kept us from connecting, if that is what failed: then nothing was sent.
fn connect_error(status: &Status) -> Option<&(dyn StdError + 'static)> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn chain(error: &dyn StdError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

fn is_about_tls(cause: &str) -> bool {
    ["peer certificate", "fatal alert", "corrupt message", "HTTP/2 was not negotiated", "handshake", "TLS"]
        .iter()
        .any(|words| cause.contains(words))
}

/// Which setting rustls' words are about.
fn tls_hint(cause: &str) -> &'static str {
    if cause.contains("not valid for name") {
        "its certificate is for another name: see etcd-server-name and etcd-endpoints"
    } else if cause.contains("peer certificate") {
        "its certificate is not one we trust: see etcd-ca-file"
    } else if cause.contains("HandshakeFailure") {
        "it has no way of TLS in common with this program: see the certificate and the cipher suites of the server"
    } else if cause.contains("fatal alert") {
        "it refuses our certificate or wants one: see etcd-cert-file and etcd-key-file"
    } else if cause.contains("corrupt message") {
        "it speaks no TLS: see etcd-endpoints, which say https://"
    } else {
        "see etcd-ca-file, etcd-cert-file, etcd-key-file and etcd-endpoints"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member() -> Member {
        Member { address: "http://etcd:2379".to_owned(), username: Some("pac_user".to_owned()) }
    }

    /// What an answer of the server comes to when reading and when writing, and whether the session goes on.
    fn comes_to(code: Code, words: &str) -> (&'static str, &'static str, bool) {
        let explain = |stage| member().explain(stage, Error::GRpcStatus(Status::new(code, words)));
        let (read, written) = (explain(CallStage::Reading), explain(CallStage::Writing));
        assert_eq!(read.ends_session, written.ends_session);
        (read.error.kind(), written.error.kind(), !written.ends_session)
    }

    #[test]
    fn what_may_have_happened_is_told_from_what_has_not() {
        let unsure = ("unavailable", "indeterminate", false);
        for words in [
            "etcdserver: request timed out",
            "etcdserver: request timed out, possibly due to previous leader failure",
            "etcdserver: request timed out, possibly due to connection lost",
            "etcdserver: leader changed",
            "etcdserver: server stopped",
            "some words of a later version",
        ] {
            assert_eq!(comes_to(Code::Unavailable, words), unsure, "{words}");
        }
        assert_eq!(comes_to(Code::Unknown, "context deadline exceeded"), unsure);
        assert_eq!(comes_to(Code::DataLoss, "etcdserver: corrupt cluster"), unsure);
        let nothing = |goes_on| ("unavailable", "unavailable", goes_on);
        assert_eq!(comes_to(Code::Unavailable, "etcdserver: no leader"), nothing(false));
        assert_eq!(comes_to(Code::ResourceExhausted, "etcdserver: too many requests"), nothing(true));
        assert_eq!(comes_to(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"), nothing(true));
        assert_eq!(comes_to(Code::Unauthenticated, "etcdserver: invalid auth token"), nothing(false));
        assert_eq!(comes_to(Code::InvalidArgument, "etcdserver: revision of auth store is old"), nothing(false));
        assert_eq!(comes_to(Code::Unknown, "auth: revision in header is old"), nothing(false));
        assert_eq!(comes_to(Code::NotFound, "etcdserver: requested lease not found"), nothing(true));
        let refused = |goes_on| ("rejected", "rejected", goes_on);
        assert_eq!(comes_to(Code::PermissionDenied, "etcdserver: permission denied"), refused(true));
        assert_eq!(comes_to(Code::InvalidArgument, "etcdserver: user name is empty"), refused(false));
        assert_eq!(comes_to(Code::InvalidArgument, "etcdserver: too many operations in txn request"), refused(true));
        assert_eq!(comes_to(Code::InvalidArgument, "etcdserver: request is too large"), refused(true));
    }

    #[test]
    fn silence_is_unavailable_before_anything_is_sent_and_indeterminate_after() {
        let silent = |stage| member().silent(stage, Duration::from_secs(5)).error;
        assert!(silent(CallStage::Connecting).to_string().contains("etcd-dial-timeout (5s)"));
        let kinds = [CallStage::Connecting, CallStage::Reading, CallStage::Writing].map(|stage| silent(stage).kind());
        assert_eq!(kinds, ["unavailable", "unavailable", "indeterminate"]);
    }

    #[test]
    fn what_was_compacted_away_can_be_read_anew() {
        let status = Status::out_of_range("etcdserver: mvcc: required revision has been compacted");
        let failure = member().explain(CallStage::Reading, Error::GRpcStatus(status));
        assert!(is_compacted(&failure.error) && !failure.ends_session);
        assert!(!is_compacted(&member().silent(CallStage::Reading, Duration::from_secs(5)).error));
    }

    #[test]
    fn what_we_may_not_know_is_told_from_what_nobody_can_tell() {
        let asked = |code| if_allowed::<()>(Err(Error::GRpcStatus(Status::new(code, "no"))));
        assert!(matches!(asked(Code::PermissionDenied), Ok(None)));
        assert!(asked(Code::Unavailable).is_err());
        assert!(matches!(if_allowed(Ok(())), Ok(Some(()))));
    }

    #[test]
    fn of_many_failures_the_one_a_person_must_settle_is_told() {
        let unavailable = |what: &str| DriverError::Unavailable(Fault::new(what));
        let all = none_reached(vec![unavailable("one is down"), unavailable("two is down")]);
        assert!(all.kind() == "unavailable" && all.to_string().contains("one is down; two is down"), "{all}");
        let refused = DriverError::Rejected(Fault::new("no"));
        assert_eq!(none_reached(vec![unavailable("down"), refused]).kind(), "rejected");
    }
}
