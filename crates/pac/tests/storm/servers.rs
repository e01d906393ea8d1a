//! Where slots and queues are kept in a storm: one server, or three that fail over.

use std::time::{Duration, Instant};

use pac_devservers::patroni::Patroni;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;

use crate::support::{Store, settings_of_several};

/// How often an operator looks, and how long Patroni has to mend by itself what it can.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const OPERATOR_AFTER: Duration = Duration::from_secs(30);

/// See the [module](self).
pub(crate) enum Servers {
    One(Store),
    Three(Box<Cluster>),
}

/// A cluster, and which of its nodes is out of order in which way.
pub(crate) struct Cluster {
    patroni: Patroni,
    broken: Option<(usize, Breakage)>,
    /// When it was looked at last, and since when it isn't whole by itself.
    looked: Instant,
    not_whole_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Breakage {
    Killed,
    Isolated,
    Paused,
}

// === impl Servers ===

impl Servers {
    pub(crate) fn ports(&self) -> Vec<u16> {
        match self {
            Self::One(store) => vec![store.port()],
            Self::Three(cluster) => cluster.patroni.ports(),
        }
    }

    /// What a ConfigMap says to have a watcher use them, by way of these ports.
    pub(super) fn settings_through(&self, mut ports: impl Iterator<Item = u16>) -> Value {
        match self {
            Self::One(store) => store.settings_through(ports.next().unwrap()),
            Self::Three(_) => settings_of_several(ports),
        }
    }

    pub(super) fn fail_over(&self) -> bool {
        matches!(self, Self::Three(_))
    }

    /// The longest that something is out of order; milliseconds. Another takes over from a node after some 12 s.
    pub(super) fn longest_outage(&self) -> u64 {
        match self {
            Self::One(_) => 5_000,
            Self::Three(_) => 25_000,
        }
    }

    /// How much longer than a gust it may take until they take writes again.
    pub(super) fn recover_within(&self) -> Duration {
        match self {
            Self::One(_) => Duration::ZERO,
            Self::Three(_) => Duration::from_secs(60),
        }
    }

    /// Strikes the one there is, or that which leads; none if they are not whole yet.
    pub(super) fn fail(&mut self, random: &mut StdRng) -> Option<&'static str> {
        match self {
            Self::One(store) => {
                store.kill();
                Some("store killed")
            }
            Self::Three(cluster) => cluster.fail(random.random_range(0..4)),
        }
    }

    /// What an operator does besides: where a standby can't follow by itself, commits wait for it.
    pub(super) fn tend(&mut self) {
        if let Self::Three(cluster) = self {
            cluster.tend();
        }
    }

    /// Undoes that.
    pub(super) fn mend(&mut self) {
        match self {
            Self::One(store) => store.restart(),
            Self::Three(cluster) => cluster.mend(),
        }
    }
}

// === impl Cluster ===

impl Cluster {
    fn fail(&mut self, number: u32) -> Option<&'static str> {
        let leader = self.patroni.leader().unwrap()?;
        if !self.patroni.is_healthy().unwrap() {
            return None;
        }
        let (breakage, what) = match number {
            0 => {
                self.patroni.kill(leader).unwrap();
                (Breakage::Killed, "primary's node killed")
            }
            1 => {
                self.patroni.isolate(leader, true);
                (Breakage::Isolated, "primary's node cut off from the others")
            }
            2 => {
                self.patroni.pause(leader).unwrap();
                (Breakage::Paused, "primary's node paused")
            }
            _ => return self.patroni.switch_over().unwrap().then_some("switched over"),
        };
        self.broken = Some((leader, breakage));
        Some(what)
    }

    fn tend(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        if self.broken.is_some() || self.patroni.is_healthy().unwrap() {
            self.not_whole_since = None;
        } else if self.not_whole_since.get_or_insert(self.looked).elapsed() > OPERATOR_AFTER {
            // Where nobody leads there is nothing to copy.
            let _ = self.patroni.reinitialize_standbys();
            self.not_whole_since = None;
        }
    }

    fn mend(&mut self) {
        match self.broken.take() {
            Some((node, Breakage::Killed)) => self.patroni.restart(node).unwrap(),
            Some((node, Breakage::Isolated)) => self.patroni.isolate(node, false),
            Some((node, Breakage::Paused)) => self.patroni.resume(node).unwrap(),
            None => {}
        }
    }
}

impl From<Patroni> for Box<Cluster> {
    fn from(patroni: Patroni) -> Self {
        Self::new(Cluster { patroni, broken: None, looked: Instant::now(), not_whole_since: None })
    }
}
