//! The port for tenants: whoever may read the PipelineRuns of a namespace sees its queues here, without rights in PAC's namespace.
//!
//! Each request carries a bearer token. The API server says whose it is (TokenReview) and whether they may see what is asked for
//! (SubjectAccessReview: `get` on PipelineRuns of that namespace, or `list` on those of all). What comes of that is a
//! `Visible`, of which there is no other maker; and an answer is `Sealed`, which only a `Visible`
//! makes. So nothing is sent that wasn't asked for in somebody's name, and nothing of another namespace.
//!
//! # What is in an answer
//!
//! The types are those of the admin port ([`pac_queue::view`]), so that the page and `pac-watcher queue` read both. Of what they hold
//! numbers, times and names of the namespace are kept, and what was written onto its own objects (the reason of a pause). Words of
//! others (what the store, the API server or a webhook said) and names of watchers are replaced by fixed words: they may name hosts and
//! namespaces. Every field is taken apart by name, so that a new one doesn't compile until somebody has decided about it.
//!
//! # What is not here
//!
//! No way to change anything, no metrics, no logs, and nothing that a caller sent but the token and the question: no header that
//! names somebody else (`Impersonate-User`, `X-Remote-User`) is read. Where the API server can't be asked, nobody gets an answer.
//!
//! # In what order to read
//!
//! `caller` (the token), `access` (who may see what), `sealed` and `because` (what they see), `answer` (the paths), `refusal`, then `budget` (how
//! often), `server` and `certificate`.

mod access;
mod answer;
mod because;
mod budget;
mod caller;
mod certificate;
mod refusal;
mod sealed;
mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use self::certificate::Certificate;
pub use self::server::{NoPort, serve};

/// The audience that a token must be for, where nobody says it: such a token is of use here and nowhere else.
pub const AUDIENCE: &str = "pac-concurrency";

/// For how long the API server's word on somebody is taken to hold, be it yes or no: so long may somebody go on who was shut out.
pub const HOLDS: Duration = Duration::from_secs(10);

/// How the port is served.
#[derive(Debug, Clone)]
pub struct TenantsOptions {
    /// Where it listens.
    pub address: SocketAddr,
    /// Certificate and key, as PEM files that may be replaced at any time; without, whoever is in front speaks TLS.
    pub tls: Option<TlsFiles>,
    /// A token must be for one of these audiences.
    pub audiences: Vec<String>,
    /// For how long the API server's word on somebody is taken to hold.
    pub holds: Duration,
}

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}
