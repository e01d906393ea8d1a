//! One key of the settings, and the part of the system that reads it.

use std::fmt;

use crate::impact::SettingsImpact;

/// One key of the settings. Its `Display` is its name.
#[derive(Debug)]
pub struct Key {
    /// The key as the ConfigMap and the Secret have it, such as `postgresql-port`.
    pub name: &'static str,
    /// Which part of the system reads it.
    pub group: Group,
    /// The value when nothing is set; empty for "none".
    pub default: &'static str,
    /// What is allowed, in words.
    pub allowed: &'static str,
    /// What it means, with its unit.
    pub doc: &'static str,
    /// Whether the value is never shown.
    pub secret: bool,
    /// What a change of it needs in a running watcher.
    pub impact: SettingsImpact,
    /// The key that says under which other name the Secret has the value.
    pub(crate) renamed_by: Option<&'static Key>,
}

/// Which part of the system reads a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Switches the system on and chooses the driver.
    General,
    /// The PostgreSQL driver.
    PostgreSql,
    /// The etcd driver.
    Etcd,
    /// The memory driver, and the etcd driver with `etcd-mode` memory or mock.
    Memory,
}

// === impl Key ===

/// A key that is yet to say what it allows and means.
pub(crate) const fn key(name: &'static str, group: Group, default: &'static str, impact: SettingsImpact) -> Key {
    Key { name, group, default, allowed: "", doc: "", secret: false, impact, renamed_by: None }
}

impl Key {
    pub(crate) const fn allows(mut self, allowed: &'static str) -> Self {
        self.allowed = allowed;
        self
    }

    pub(crate) const fn means(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Never shown. The Secret has it under the name that `renamed_by` says.
    pub(crate) const fn hidden(mut self, renamed_by: &'static Key) -> Self {
        self.secret = true;
        self.renamed_by = Some(renamed_by);
        self
    }

    /// The environment variable of this key: `PAC_POSTGRESQL_PORT`.
    pub fn variable(&self) -> String {
        format!("PAC_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// The environment variable that names a file with the value: `PAC_POSTGRESQL_PASSWORD_FILE`.
    pub fn file_variable(&self) -> String {
        format!("{}_FILE", self.variable())
    }
}

/// No two keys have one name.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

impl From<&Key> for String {
    fn from(key: &Key) -> Self {
        key.name.to_owned()
    }
}

// === impl Group ===

impl Group {
    /// All of them, in the order of the documentation.
    pub(crate) const ALL: [Self; 4] = [Self::General, Self::PostgreSql, Self::Etcd, Self::Memory];

    /// The prefixes that belong to us: a key that starts with one is ours, or a mistake.
    pub const PREFIXES: [&str; 4] = ["concurrency-", "postgresql-", "etcd-", "memory-"];
}

impl fmt::Display for Group {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::General => "General",
            Self::PostgreSql => "PostgreSQL",
            Self::Etcd => "etcd",
            Self::Memory => "Memory",
        })
    }
}
