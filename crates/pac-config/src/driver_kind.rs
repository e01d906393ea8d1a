//! Which drivers there are. Whoever has to do something for each of them asks here.

use std::fmt;

/// A driver by its kind. Its `Display` is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriverKind {
    /// Queues and slots in PostgreSQL.
    PostgreSql,
    /// Queues and slots in etcd.
    Etcd,
    /// Queues and slots in the watcher's process, for tests.
    Memory,
}

// === impl DriverKind ===

impl DriverKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PostgreSql, Self::Etcd, Self::Memory];

    /// The drivers whose server keeps what it has.
    pub const DURABLE: [Self; 2] = [Self::PostgreSql, Self::Etcd];

    /// The name that `concurrency-driver` has for it: `postgresql`, `etcd` or `memory`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgresql",
            Self::Etcd => "etcd",
            Self::Memory => "memory",
        }
    }

    /// The driver of this name, in any case.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(feature = "clap")]
impl clap::ValueEnum for DriverKind {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
