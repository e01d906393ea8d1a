//! The Secret with the certificate, its key, and the authority.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, Error};
use pac_kube::error::with_causes;
use serde_json::{Value, json};

use crate::NAME;

/// Of the keys the first three have the names that everybody uses.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEY: &str = "ca.key";

/// What is in it, as PEM; empty where there is nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// The certificate, and those between it and its authority.
    pub(crate) certificate: Vec<u8>,
    pub(crate) key: Vec<u8>,
    /// Who is trusted: the authority that signs first.
    pub(crate) authorities: Vec<u8>,
    /// The key of the first authority.
    pub(crate) authority_key: Vec<u8>,
}

/// The Secret as it was read.
pub(crate) struct Found {
    pub(crate) contents: Contents,
    /// Whether somebody else, such as cert-manager, keeps it.
    pub(crate) is_kept_by_others: bool,
    version: Option<String>,
}

/// Why the Secret, or the configuration, could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub(crate) struct Failed {
    what: String,
    why: String,
}

/// Reads and writes the Secret.
pub(crate) struct Secrets(Api<Secret>);

// === impl Contents ===

impl Contents {
    fn of(mut data: BTreeMap<String, ByteString>) -> Self {
        let mut take = |key: &str| data.remove(key).map(|bytes| bytes.0).unwrap_or_default();
        Self {
            certificate: take(CERTIFICATE),
            key: take(KEY),
            authorities: take(AUTHORITIES),
            authority_key: take(AUTHORITY_KEY),
        }
    }

    fn to_data(&self) -> Value {
        let entry = |bytes: &[u8]| ByteString(bytes.to_vec());
        json!({
            CERTIFICATE: entry(&self.certificate),
            KEY: entry(&self.key),
            AUTHORITIES: entry(&self.authorities),
            AUTHORITY_KEY: entry(&self.authority_key),
        })
    }
}

/// Keys are nobody's business.
impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").finish_non_exhaustive()
    }
}

// === impl Failed ===

impl Failed {
    pub(crate) fn new(what: impl Into<String>, error: &Error) -> Self {
        let why = match error {
            Error::Api(status) => status.message.clone(),
            other => with_causes(other),
        };
        Self { what: what.into(), why }
    }

    pub(crate) fn because(what: String, why: String) -> Self {
        Self { what, why }
    }
}

// === impl Secrets ===

impl Secrets {
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self(Api::namespaced(client, namespace))
    }

    pub(crate) async fn read(&self) -> Result<Found, Failed> {
        let secret = self.0.get(NAME).await.map_err(|error| Failed::new(format!("Secret {NAME}"), &error))?;
        Ok(Found {
            contents: Contents::of(secret.data.unwrap_or_default()),
            is_kept_by_others: secret.type_.as_deref() == Some("kubernetes.io/tls"),
            version: secret.metadata.resource_version,
        })
    }

    /// Writes what is to be there, unless the Secret changed since it was read.
    pub(crate) async fn write(&self, found: &Found, contents: &Contents) -> Result<(), Failed> {
        let patch = json!({ "metadata": { "resourceVersion": found.version }, "data": contents.to_data() });
        let written = self.0.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await;
        written.map(drop).map_err(|error| Failed::new(format!("Secret {NAME}"), &error))
    }
}
