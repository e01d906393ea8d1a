//! The record of every version of every object, in the order in which the server made them.
//!
//! A verdict on somebody's behaviour is read from here and from nowhere else: it's what the cluster itself saw.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

/// How much of the past is kept for [`crate::DevCluster::history`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistoryLimit {
    /// Every version since the start.
    #[default]
    All,
    /// The newest versions only.
    Last(usize),
    /// Nothing: for big benchmarks.
    Off,
}

/// What a version did to its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Change {
    /// The object's first version.
    Created,
    /// A later version.
    Updated,
    /// The object is gone; the version holds what it was last.
    Deleted,
}

/// One version of one object.
#[derive(Clone, Debug)]
pub struct Version {
    /// The resourceVersion: one counter for the whole server.
    pub revision: u64,
    /// When it was made, since the server's start, by a clock that never goes back.
    pub at: Duration,
    /// The plural name, such as `pipelineruns`.
    pub resource: &'static str,
    /// Empty for what has no namespace.
    pub namespace: String,
    /// The name; another uid under the same name is another object.
    pub name: String,
    /// The uid.
    pub uid: String,
    /// What happened.
    pub change: Change,
    /// The whole object.
    pub object: Arc<Value>,
}
