//! Where the pod has what is mounted.

/// Certificates and keys.
pub(super) const TLS_FOLDER: &str = "/etc/pac-concurrency/tls";
/// The passwords of the Secret.
pub(super) const SECRET_FOLDER: &str = "/etc/pac-concurrency/secret";
/// What the Secrets Store CSI driver provides.
pub(super) const EXTERNAL_FOLDER: &str = "/etc/pac-concurrency/external";
/// The volume of that.
pub(super) const EXTERNAL: &str = "pac-concurrency-external";
