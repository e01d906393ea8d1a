//! What a store that lost its last commits excuses.
//!
//! Whoever gave a slot counts it, whatever the store says. So a lost commit is harmless while one watcher admits, and remains the one that does. Where
//! another one admits before that watcher had the run adopted, a start that is on its way and that no cache shows is known to nobody: see the
//! known limits in docs/architecture.md.

use std::time::Duration;

use pac_devcluster::verdict::LostSlots;
use serde_json::Value;

use super::World;
use crate::replica::SETTINGS;

/// How long before or after the loss leadership must have changed hands to matter: a start is sent and over by then, and caches show it.
const MATTERS_FOR: Duration = Duration::from_secs(30);

// === impl World ===

impl World {
    /// The losses that matter.
    pub(crate) fn excuses(&self) -> Vec<LostSlots> {
        let changes = self.changes_of_leader();
        let matters = |lost: &&LostSlots| {
            !lost.runs.is_empty()
                && (!self.scenario.elected || changes.iter().any(|change| change.abs_diff(lost.at) < MATTERS_FOR))
        };
        self.lost.iter().filter(matters).cloned().collect()
    }

    /// What was broken before the eyes of the witness. What a store forgets, slots and leases, nobody else need know; and the memory of a
    /// watcher isn't looked into.
    pub(crate) fn witnessed(&self) -> Vec<(&'static str, String)> {
        let is_seen = self.scenario.has_server() && !self.scenario.is_lossy;
        self.outside.witness.told().into_iter().filter(|(id, _)| is_seen || !matches!(*id, "P1" | "P7")).collect()
    }

    /// Has the witness look at the limits there are now.
    pub(crate) fn note_limits(&self) {
        self.outside.witness.note_limits(&format!("{SETTINGS}/{SETTINGS}"));
    }

    /// When leadership changed hands.
    fn changes_of_leader(&self) -> Vec<Duration> {
        let mut leader = None;
        let mut changes = Vec::new();
        for version in self.outside.cluster.history().iter().filter(|version| version.resource == "leases") {
            let holder = version.object.pointer("/spec/holderIdentity").and_then(Value::as_str).map(str::to_owned);
            if holder != leader {
                leader = holder;
                changes.push(version.at);
            }
        }
        changes
    }
}
