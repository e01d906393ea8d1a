//! What was found, untouched, each value with its origin.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use crate::driver_kind::DriverKind;
use crate::files::ReadFile;
use crate::given::{Given, present};
use crate::key::Key;
use crate::keys::{self, keys};
use crate::local_file;
use crate::origin::Origin;
use crate::problem::{Findings, Problem, Problems};
use crate::text::decoded_text;
use crate::variable::PREFIX;

/// Everything the settings are made from. Nothing is checked yet.
///
/// A later call for the same way in replaces the earlier one. Equal sources give equal settings, as long as the files
/// they name stay the same.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Our own ConfigMap, which wins over PAC's.
    pub(crate) own: BTreeMap<String, Given>,
    /// PAC's ConfigMap, or a local file.
    pub(crate) config: BTreeMap<String, Given>,
    pub(crate) secret: BTreeMap<String, Given>,
    pub(crate) environment: BTreeMap<String, OsString>,
    /// What was wrong on the way here, kept so that it is reported together with everything else.
    pub(crate) findings: Findings,
    /// Objects that were looked for in vain.
    missing: Vec<String>,
}

// === impl Sources ===

impl Sources {
    /// Nothing found: every setting has its default.
    pub fn new() -> Self {
        Self::default()
    }

    /// The `data` and decoded `binaryData` of the ConfigMap called `name` (`namespace/name`). Keys of other parts of PAC may
    /// be among it.
    #[must_use]
    pub fn with_config_map<K, V>(mut self, name: &str, data: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<Vec<u8>>,
    {
        self.config = given(data, &Origin::ConfigMap { name: name.to_owned() });
        self
    }

    /// The same of a ConfigMap of the concurrency system's own: what it has wins over [`Self::with_config_map`].
    #[must_use]
    pub fn with_own_config_map<K, V>(mut self, name: &str, data: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<Vec<u8>>,
    {
        self.own = given(data, &Origin::ConfigMap { name: name.to_owned() });
        self
    }

    /// Whether PAC's own setting `key` is false. PAC checks its settings; what it wouldn't take counts as not there.
    pub(crate) fn pac_says_no(&self, key: &str) -> bool {
        let value = self.config.get(key).map(|given| given.bytes.trim_ascii().to_ascii_lowercase());
        value.is_some_and(|value| matches!(value.as_slice(), b"false" | b"f" | b"0"))
    }

    /// The decoded `data` of the Secret called `name` (`namespace/name`).
    #[must_use]
    pub fn with_secret<K, V>(mut self, name: &str, data: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<Vec<u8>>,
    {
        self.secret = given(data, &Origin::Secret { name: name.to_owned() });
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

    /// Something suspicious that was seen on the way here, reported with everything else; `about` is what it is about.
    #[must_use]
    pub fn with_warning(mut self, about: impl Into<String>, message: impl Into<String>) -> Self {
        self.findings.warn(about, message);
        self
    }

    /// A local YAML file in place of the ConfigMaps and, if it holds one, of the Secret.
    ///
    /// It is a flat mapping of keys, or manifests of `kind: ConfigMap` and `kind: Secret`, one or several documents.
    /// What is wrong with it is reported by [`resolve()`](crate::resolve()), together with everything else.
    #[must_use]
    pub fn with_local_file(mut self, path: &Path, files: &dyn ReadFile) -> Self {
        let content = local_file::read(path, files);
        self.own = BTreeMap::new();
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
    pub fn with_driver(mut self, driver: DriverKind, flag: &'static str) -> Self {
        let given = Given { bytes: driver.name().into(), origin: Origin::CommandLine { flag } };
        self.own.insert(String::from(&keys::CONCURRENCY_DRIVER), given);
        self
    }

    /// Every setting that ConfigMaps or the local file give, and every key of the Secret that isn't empty, as text.
    ///
    /// # Errors
    ///
    /// What is wrong with the local file, or a value that isn't text.
    pub fn given(&self) -> Result<BTreeMap<String, String>, Problems> {
        let mut findings = self.findings.clone();
        let mut texts = BTreeMap::new();
        for (key, given) in self.secret.iter().chain(&self.config).chain(&self.own) {
            match decoded_text(given.bytes.clone()) {
                Ok(text) if text.is_empty() => {}
                Ok(text) => drop(texts.insert(key.clone(), text)),
                Err(message) => findings.problem(Problem::new(key, message).from(&given.origin)),
            }
        }
        match findings.problems.is_empty() {
            true => Ok(texts),
            false => Err(Problems { problems: findings.problems, warnings: findings.warnings }),
        }
    }

    /// The ConfigMap that settings of `before` counted from and that has none any more, if a setting changes by it: deleted,
    /// or overwritten by somebody who didn't know of them. A mistake, rather than a wish.
    pub fn vanished_since(&self, before: &Self) -> Option<Origin> {
        let maps = [(&before.own, &self.own), (&before.config, &self.config)];
        let emptied = maps.into_iter().filter(|(_, now)| keys().all(|key| present(key, now.get(key.name)).is_none()));
        let mut origins = emptied.flat_map(|(then, _)| {
            let counted = keys().filter_map(|key| Some((key, present(key, then.get(key.name))?)));
            counted.filter(|(key, given)| {
                let is_same = |now: &Given| now.bytes.trim_ascii() == given.bytes.trim_ascii();
                before.of_config_maps(key) == Some(given) && !self.of_config_maps(key).is_some_and(is_same)
            })
        });
        origins.next().map(|(_, given)| given.origin.clone())
    }

    /// Whether a ConfigMap or the local file has any setting.
    pub fn has_settings(&self) -> bool {
        keys().any(|key| self.of_config_maps(key).is_some())
    }

    /// The value of our own ConfigMap, or else of PAC's.
    pub(crate) fn of_config_maps(&self, key: &Key) -> Option<&Given> {
        present(key, self.own.get(key.name)).or_else(|| present(key, self.config.get(key.name)))
    }
}

fn given<K: Into<String>, V: Into<Vec<u8>>>(
    data: impl IntoIterator<Item = (K, V)>,
    origin: &Origin,
) -> BTreeMap<String, Given> {
    let given = |bytes: V| Given { bytes: bytes.into(), origin: origin.clone() };
    data.into_iter().map(|(key, bytes)| (key.into(), given(bytes))).collect()
}

/// Keys alone: a value may be a password, or a typing error away from one.
impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sources")
            .field("own", &self.own.keys())
            .field("config", &self.config.keys())
            .field("secret", &self.secret.keys())
            .field("environment", &self.environment.keys())
            .finish_non_exhaustive()
    }
}
