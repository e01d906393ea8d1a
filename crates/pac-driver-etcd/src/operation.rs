//! A change of one key: what a transaction carries out, and what is written down of a change too large for one.

use etcd_client::TxnOp;
use serde::{Deserialize, Serialize};

/// The most operations of one transaction: the default of etcd's `--max-txn-ops`.
pub(crate) const OPERATIONS_MAX: usize = 128;

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// `key` has `value` from now on.
    Put { key: String, value: String },
    /// `key` goes.
    Delete { key: String },
}

// === impl Operation ===

impl Operation {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    pub(crate) fn request(&self) -> TxnOp {
        match self {
            Self::Put { key, value } => TxnOp::put(key.as_str(), value.as_str(), None),
            Self::Delete { key } => TxnOp::delete(key.as_str(), None),
        }
    }
}
