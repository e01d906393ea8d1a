//! What fails while clients work: the server is killed and paused, its clock jumps, the network is cut, held, slowed, and swallows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use pac_devservers::proxy::{Passage, Proxy};
use rand::Rng;
use rand::rngs::StdRng;

use crate::clients::Work;
use crate::store::Server;

/// How often each kind of fault struck.
pub type Faults = BTreeMap<&'static str, usize>;

/// One who strikes a server.
pub(crate) struct Striker {
    pub(crate) server: Server,
    /// The network of each driver.
    pub(crate) networks: Arc<Vec<Proxy>>,
    pub(crate) chance: StdRng,
    /// The longest a fault lasts, and the longest until the next; milliseconds.
    pub(crate) lasts: u64,
}

/// The kinds there are. What isn't here struck by itself: an answer that somebody didn't wait for.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Paused,
    ClockJumped,
    Held,
    Closed,
    AnswersCut,
    Swallowed,
    Slowed,
}

/// Killing and pausing is what stores are tried by most.
const FAULTS: [Fault; 10] = {
    use Fault::{AnswersCut, ClockJumped, Closed, Held, Killed, Paused, Slowed, Swallowed};
    [Killed, Held, AnswersCut, Paused, ClockJumped, Killed, Closed, Swallowed, AnswersCut, Slowed]
};

// === impl Striker ===

impl Striker {
    /// Strikes until the work is over, or so many times, each kind in turn; all is well again in the end.
    ///
    /// # Errors
    ///
    /// If a server doesn't come back, or a signal can't be sent.
    pub(crate) fn strike(&mut self, work: &Work, times: Option<u64>) -> Result<Faults> {
        let mut faults = Faults::new();
        for turn in 0.. {
            self.pause();
            if work.is_over() || times.is_some_and(|times| times <= work.struck()) {
                break;
            }
            let fault = FAULTS[turn % FAULTS.len()];
            if let Some(name) = self.strike_once(fault)? {
                *faults.entry(name).or_default() += 1;
                work.note_struck();
            }
        }
        Ok(faults)
    }

    fn strike_once(&mut self, fault: Fault) -> Result<Option<&'static str>> {
        let networks = Arc::clone(&self.networks);
        let network = &networks[self.chance.random_range(0..networks.len())];
        let name = match fault {
            Fault::Killed => {
                self.server.kill()?;
                self.pause();
                self.server.restart()?;
                "server killed"
            }
            Fault::Paused => {
                self.server.pause()?;
                self.pause();
                self.server.resume()?;
                "server paused"
            }
            Fault::ClockJumped => {
                let offset = self.chance.random_range(-100_000..=100_000);
                let Some(clock) = self.server.clock() else { return Ok(None) };
                clock.set(offset)?;
                "clock jumped"
            }
            Fault::Held => {
                network.set(Passage::Held);
                self.pause();
                network.set(Passage::Open);
                "network held"
            }
            Fault::Closed => {
                network.set(Passage::Closed);
                self.pause();
                network.set(Passage::Open);
                "network closed"
            }
            Fault::AnswersCut => {
                network.cut_answers(self.chance.random_range(1..=8));
                "answers cut"
            }
            Fault::Swallowed => {
                network.swallow_connections();
                "connections swallowed"
            }
            Fault::Slowed => {
                network.slow_down(Duration::from_millis(self.chance.random_range(1..50)));
                self.pause();
                network.slow_down(Duration::ZERO);
                "network slowed"
            }
        };
        Ok(Some(name))
    }

    /// The time between two faults, and how long one lasts, is a matter of chance: nothing says when it would hurt most.
    fn pause(&mut self) {
        sleep(Duration::from_millis(self.chance.random_range(self.lasts / 10..=self.lasts)));
    }
}
