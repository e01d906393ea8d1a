//! What can be known of a store before anything is written to it.

use std::fmt;

use crate::driver::ServerInfo;

/// What a driver found at its server, having changed nothing there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The server, and where it is.
    pub server: ServerInfo,
    /// What is there of ours, and what connecting for good would make of it.
    pub schema: Schema,
    /// Why this user can't write there, in words that have the remedy. `None`: nothing is known to keep it from it.
    pub cannot_write: Option<String>,
}

/// The form in which a store keeps its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// The store has none: the first write makes what it needs.
    Unneeded,
    /// Nothing is there yet. Connecting creates it, at version `wanted`.
    Missing {
        /// The version this program writes.
        wanted: u32,
    },
    /// An earlier program made it. Connecting migrates it.
    Older {
        /// The version that is there.
        found: u32,
        /// The version this program writes.
        wanted: u32,
    },
    /// It is as this program needs it.
    Current {
        /// The version that is there.
        version: u32,
    },
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unneeded => f.write_str("needs no preparation"),
            Self::Missing { wanted } => write!(f, "would create the schema, at version {wanted}"),
            Self::Older { found, wanted } => write!(f, "would migrate the schema from version {found} to {wanted}"),
            Self::Current { version } => write!(f, "finds the schema as it needs it, at version {version}"),
        }
    }
}
