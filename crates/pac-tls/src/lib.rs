//! TLS towards a store, and at a port of ours: what is trusted, what is shown, and what is wrong with a server's certificate.
//!
//! [`client()`] makes a client's configuration. A file of authorities replaces the system's, it never adds to them. Where
//! nothing is to be checked nothing is, so that a certificate the library can't read is no obstacle. Where it is to be
//! checked and can't be, [`peculiarity()`] says what it is about the certificate. [`validity()`] says from when to when one is valid.
//! [`Served`] is the certificate of a port, which is replaced while the port is served.

mod certificate;
mod client;
mod probe;
mod served;
mod validity;

pub use certificate::peculiarity;
pub use client::{BadFile, Check, Client, Identity, client};
pub use probe::certificate_of;
pub use served::{Served, Unservable, certified_key};
pub use validity::{Validity, validity};
