//! What was found, untouched, each value with its origin.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use crate::files::ReadFile;
use crate::local_file;
use crate::origin::Origin;
use crate::problem::Findings;
use crate::variable::PREFIX;

/// Everything the settings are made from. Nothing is checked yet.
///
/// A later call for the same way in replaces the earlier one. Equal sources give equal settings, as long as the files
/// they name stay the same.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    pub(crate) config: BTreeMap<String, Given>,
    pub(crate) secret: BTreeMap<String, Given>,
    pub(crate) environment: BTreeMap<String, OsString>,
    /// What was wrong with a local file, kept so that it is reported together with everything else.
    pub(crate) findings: Findings,
    /// Objects that were looked for in vain.
    missing: Vec<String>,
}

/// A value as it was found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) bytes: Vec<u8>,
    pub(crate) origin: Origin,
}

// === impl Sources ===

impl Sources {
    /// Nothing found: every setting has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `data` of the ConfigMap called `name` (`namespace/name`). Keys of other parts of PAC may be among it.
    #[must_use]
    pub fn with_config_map<K, V>(mut self, name: &str, data: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<String>,
    {
        let origin = Origin::ConfigMap { name: name.to_owned() };
        self.config = given(data.into_iter().map(|(key, value)| (key.into(), value.into().into_bytes())), &origin);
        self
    }

    /// The decoded `data` of the Secret called `name` (`namespace/name`).
    #[must_use]
    pub fn with_secret<K, V>(mut self, name: &str, data: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<Vec<u8>>,
    {
        let origin = Origin::Secret { name: name.to_owned() };
        self.secret = given(data.into_iter().map(|(key, value)| (key.into(), value.into())), &origin);
        self
    }

    /// The environment, such as [`std::env::vars_os`]. Only variables that start with `PAC_` are kept.
    #[must_use]
    pub fn with_environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let names = variables.into_iter().filter_map(|(name, value)| Some((name.into().into_string().ok()?, value)));
        let ours = names.filter(|(name, _)| name.starts_with(PREFIX));
        self.environment = ours.map(|(name, value)| (name, value.into())).collect();
        self
    }

    /// A local YAML file in place of the ConfigMap and, if it holds one, of the Secret.
    ///
    /// It is a flat mapping of keys, or manifests of `kind: ConfigMap` and `kind: Secret`, one or several documents.
    /// What is wrong with it is reported by [`resolve()`](crate::resolve()), together with everything else.
    #[must_use]
    pub fn with_local_file(mut self, path: &Path, files: &dyn ReadFile) -> Self {
        let content = local_file::read(path, files);
        self.config = content.config;
        if let Some(secret) = content.secret {
            self.secret = secret;
        }
        self.findings = content.findings;
        self
    }

    /// Notes that an object such as `Secret namespace/name` isn't there. Nothing is decided by it.
    #[must_use]
    pub fn with_missing(mut self, object: String) -> Self {
        self.missing.push(object);
        self
    }

    /// The objects that aren't there.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The same with another driver, whatever `concurrency-driver` says: for a command that works on two.
    #[must_use]
    pub fn with_driver(mut self, driver: &str, flag: &'static str) -> Self {
        let origin = Origin::CommandLine { flag };
        self.config.insert("concurrency-driver".to_owned(), Given { bytes: driver.into(), origin });
        self
    }
}

fn given(data: impl Iterator<Item = (String, Vec<u8>)>, origin: &Origin) -> BTreeMap<String, Given> {
    data.map(|(key, bytes)| (key, Given { bytes, origin: origin.clone() })).collect()
}

/// Keys alone: a value may be a password, or a typing error away from one.
impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sources")
            .field("config", &self.config.keys())
            .field("secret", &self.secret.keys())
            .field("environment", &self.environment.keys())
            .finish_non_exhaustive()
    }
}
