//! What is simulated, for a seed.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Where slots and queues are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// The memory of the one watcher there is.
    Memory,
    /// A simulated server whose versions are made as with PostgreSQL.
    PostgreSql,
    /// A simulated server whose versions are made as with etcd.
    Etcd,
}

/// What is simulated. All of it follows from the seed, but for how long it lasts.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Everything that happens follows from it.
    pub seed: u64,
    /// How long it storms, in virtual time; all work is to be done after that.
    pub lasts: Duration,
    /// How many watchers there are.
    pub replicas: usize,
    /// How many Repositories there are.
    pub repositories: usize,
    /// Where slots and queues are kept.
    pub store: StoreKind,
    /// Whether Pipelines-as-Code's own watcher and its queue are there, too, and the watchers in companion mode.
    pub companion: bool,
    /// Whether one of several watchers leads, by a Lease; otherwise all admit at once.
    pub elected: bool,
    /// Whether the store may lose commits that it acknowledged.
    pub is_lossy: bool,
    /// Whether the store is exchanged for another while all is at work.
    pub moves: bool,
    /// Whether nothing fails, and everything is only slow at times: then next to nothing is allowed for.
    pub is_mild: bool,
    /// Whether more runs wait than a watcher remembers of a queue.
    pub is_crowded: bool,
}

// === impl Scenario ===

impl Scenario {
    /// That of `seed`.
    pub fn of(seed: u64, lasts: Duration) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let store = [
            StoreKind::Memory,
            StoreKind::PostgreSql,
            StoreKind::PostgreSql,
            StoreKind::PostgreSql,
            StoreKind::Etcd,
            StoreKind::Etcd,
        ][random.random_range(0..6)];
        let (has_server, is_mild) = (store != StoreKind::Memory, random.random_bool(0.2));
        // What goes wrong goes wrong between several, mostly.
        let replicas = if has_server { [1, 2, 2, 3][random.random_range(0..4)] } else { 1 };
        // The fewer there are, the more happens in each at once.
        let repositories = [1, 1, 2, 2, 3, 5][random.random_range(0..6)];
        let companion = random.random_bool(0.5);
        let elected = !has_server || is_mild || random.random_bool(0.5);
        Self {
            seed,
            lasts,
            replicas,
            repositories,
            store,
            companion,
            elected,
            is_lossy: has_server && !is_mild && random.random_bool(0.3),
            // Several that all admit may be on two stores for a while: a known limit.
            moves: has_server && !is_mild && random.random_bool(0.3) && (elected || replicas == 1),
            is_mild,
            // It takes a hundred times as long, with no more faults.
            is_crowded: !is_mild && random.random_bool(0.03),
        }
    }

    /// Whether the store is a server, which can go away.
    pub(crate) fn has_server(&self) -> bool {
        self.store != StoreKind::Memory
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.companion { "companion" } else { "standalone" };
        let led = if self.elected { "" } else { " that all lead" };
        let lossy = if self.is_lossy { " that loses commits" } else { "" };
        let moves = if self.moves { ", moved now and then" } else { "" };
        let mild = if self.is_mild { ", all slow" } else { "" };
        let crowded = if self.is_crowded { ", crowded" } else { "" };
        write!(
            f,
            "seed {}: {:?} of {} {mode} watchers{led} on {:?}{lossy}{moves}, {} Repositories{mild}{crowded}",
            self.seed, self.lasts, self.replicas, self.store, self.repositories
        )
    }
}
