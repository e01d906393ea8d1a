//! The webhook by which the API server keeps PAC's execution order from PAC's own queue: the gate's kind `webhook`.
//!
//! A write that brings PAC's annotation is shown to this webhook, which renames the annotation; nothing else is asked of it, and it
//! answers without looking at anything but the request. Every replica serves it ([`serve`]); while none does, the API server
//! refuses those writes and no others, of which there is one for each run.
//!
//! # The certificate
//!
//! The API server trusts what the webhook's configuration names as its CA bundle. Certificate, key and authority are in a Secret; the
//! leader makes them and renews them before they expire, and keeps the CA bundle in the configuration ([`keep`]). An authority is
//! replaced in three steps, so that at each moment every replica's certificate is trusted: the new authority joins the old one in
//! the Secret, and from there in the configuration; then it signs a new certificate, which every replica takes up from the Secret; the
//! old one leaves with the renewal after that. A Secret of type `kubernetes.io/tls` belongs to somebody else, such as cert-manager: it is
//! used as it is.
//!
//! # In what order to read
//!
//! `review` (what is answered), `server`, `in_use` (the certificate of this replica), then `renewal` (what the Secret should have
//! next) and `keeper` (the leader's work).

mod in_use;
mod keeper;
mod renewal;
mod review;
mod secret;
mod server;

use std::time::Duration;

pub use self::{
    keeper::keep,
    renewal::Lifetimes,
    server::{NoPort, Webhook, serve},
};

/// The name of the Service in front of the webhook, and of the Secret with its certificate.
pub const NAME: &str = "pac-concurrency-webhook";

/// The path at which it is served.
pub const PATH: &str = "/execution-order";

/// For how long a replica that stops goes on serving: as long as the API server may take to hear that it is gone.
pub const DRAIN: Duration = Duration::from_secs(5);
