//! What fails while clients work on servers that fail over: the primary's node is killed, frozen and cut off, another takes its place by
//! somebody's wish, and the way of clients is held, closed and loses answers.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Result;
use pac_devservers::patroni::Patroni;
use pac_devservers::proxy::{Passage, Proxy};
use rand::Rng;
use rand::rngs::StdRng;

use crate::clients::Work;
use crate::faults::Faults;

/// How long another has to lead in the place of one that fell silent, at most.
const FAIL_OVER: Duration = Duration::from_secs(25);

/// One who strikes a cluster.
pub(crate) struct FailoverStriker {
    pub(crate) cluster: Patroni,
    /// The networks of drivers, each to one server.
    pub(crate) networks: Vec<Proxy>,
    pub(crate) chance: StdRng,
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    Killed,
    Isolated,
    Paused,
    SwitchedOver,
    Held,
    Closed,
    AnswersCut,
}

const FAULTS: [Fault; 10] = {
    use Fault::{AnswersCut, Closed, Held, Isolated, Killed, Paused, SwitchedOver};
    [Killed, AnswersCut, Isolated, Held, SwitchedOver, Paused, Killed, Closed, Isolated, SwitchedOver]
};

// === impl FailoverStriker ===

impl FailoverStriker {
    /// Strikes until the work is over, or so many times, each kind in turn. The cluster is whole again before the next, and in the end.
    ///
    /// # Errors
    ///
    /// If the cluster doesn't become whole again, or a signal can't be sent.
    pub(crate) fn strike(&mut self, work: &Work, times: Option<u64>) -> Result<Faults> {
        let mut faults = Faults::new();
        for turn in 0.. {
            self.pause(3_000);
            if work.is_over() || times.is_some_and(|times| times <= work.struck()) {
                break;
            }
            let name = self.strike_once(FAULTS[turn % FAULTS.len()])?;
            *faults.entry(name).or_default() += 1;
            work.note_struck();
            self.cluster.await_health()?;
        }
        Ok(faults)
    }

    fn strike_once(&mut self, fault: Fault) -> Result<&'static str> {
        let leader = self.cluster.leader()?.unwrap_or_default();
        let network = self.chance.random_range(0..self.networks.len());
        Ok(match fault {
            Fault::Killed => {
                self.cluster.kill(leader)?;
                let name = match self.another_takes_over(leader)? {
                    true => "primary's node killed, another took over",
                    false => "primary's node killed, and back at once",
                };
                self.cluster.restart(leader)?;
                name
            }
            Fault::Isolated => {
                // Clients may be on its side, or go with the others.
                let with_clients = self.chance.random_bool(0.5);
                if with_clients {
                    self.set_ways_to(leader, Passage::Held);
                }
                self.cluster.isolate(leader, true);
                self.another_takes_over(leader)?;
                self.cluster.isolate(leader, false);
                self.set_ways_to(leader, Passage::Open);
                if with_clients {
                    "primary's node cut off from all"
                } else {
                    "primary's node cut off from all but clients"
                }
            }
            Fault::Paused => {
                self.cluster.pause(leader)?;
                self.another_takes_over(leader)?;
                self.cluster.resume(leader)?;
                "primary's node paused"
            }
            Fault::SwitchedOver => {
                if self.cluster.switch_over()? {
                    "switched over"
                } else {
                    "no switch-over: none was fit"
                }
            }
            Fault::Held => {
                self.networks[network].set(Passage::Held);
                self.pause(2_000);
                self.networks[network].set(Passage::Open);
                "network held"
            }
            Fault::Closed => {
                self.networks[network].set(Passage::Closed);
                self.pause(2_000);
                self.networks[network].set(Passage::Open);
                "network closed"
            }
            Fault::AnswersCut => {
                self.networks[network].cut_answers(self.chance.random_range(1..=8));
                "answers cut"
            }
        })
    }

    /// What becomes of what clients ask of one node.
    fn set_ways_to(&self, node: usize, passage: Passage) {
        self.networks.iter().skip(node).step_by(self.cluster.ports().len()).for_each(|way| way.set(passage));
    }

    /// Waits until another than `former` leads, and a while; or, now and then, not that long.
    fn another_takes_over(&mut self, former: usize) -> Result<bool> {
        let soon = self.chance.random_bool(0.3);
        let patience = if soon { Duration::from_millis(self.chance.random_range(100..4_000)) } else { FAIL_OVER };
        let is_another = self.cluster.await_other_leader(former, patience)?;
        if is_another {
            self.pause(2_000);
        }
        Ok(is_another)
    }

    /// The time between two faults, and how long one lasts, is a matter of chance: nothing says when it would hurt most.
    fn pause(&mut self, most: u64) {
        sleep(Duration::from_millis(self.chance.random_range(most / 10..=most)));
    }
}
