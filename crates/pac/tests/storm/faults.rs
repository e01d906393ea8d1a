//! What fails: watchers, the store, the network between them, the API server, Tekton.

use std::time::Duration;

use pac_devcluster::{FaultAction, FaultRule};
use pac_devservers::proxy::{Passage, Proxy};
use rand::Rng;

use super::{Servers, Storm, Undo};

// === impl Storm ===

impl Storm {
    /// Strikes one blow and says which; none if what it was meant for is down already.
    pub(super) fn something_fails(&mut self) -> Option<&'static str> {
        // Where servers fail over, that is what happens most.
        let fails_over = self.servers.as_ref().is_some_and(Servers::fail_over);
        match self.random.random_range(0..if fails_over { 24 } else { 15 }) {
            0 => self.kill_watcher(),
            1 => self.stop_watcher(),
            2 => self.freeze_watcher(),
            3 | 15.. => self.servers_fail(),
            4 => self.cut_network(Passage::Held, "network held"),
            5 => self.cut_network(Passage::Closed, "network closed"),
            6 => self.cut_answers(),
            7 => self.slow_network(),
            14 => self.tekton_leaves(),
            number => {
                // What nobody ran into by then strikes nobody.
                self.undo_after(Undo::ApiServer, 500, 6_000);
                Some(self.api_server_fails(number))
            }
        }
    }

    /// A watcher that is up and about, chosen at random.
    fn victim(&mut self) -> Option<usize> {
        let number = self.random.random_range(0..self.watchers.len());
        let down = [Undo::Watcher(number), Undo::Thaw(number)].into_iter().any(|undo| self.is_to_be_undone(undo));
        // One that has only just been started has yet to hear signals.
        let young = self.watchers[number].as_ref().is_some_and(|watcher| watcher.age() < Duration::from_secs(1));
        (!down && !young).then_some(number)
    }

    fn kill_watcher(&mut self) -> Option<&'static str> {
        let number = self.victim()?;
        self.watchers[number].take()?.kill();
        self.undo_after(Undo::Watcher(number), 0, 5_000);
        Some("watcher killed")
    }

    fn stop_watcher(&mut self) -> Option<&'static str> {
        let number = self.victim()?;
        self.watchers[number].take()?.stop();
        self.undo_after(Undo::Watcher(number), 0, 5_000);
        Some("watcher stopped")
    }

    fn freeze_watcher(&mut self) -> Option<&'static str> {
        let number = self.victim()?;
        self.watchers[number].as_ref()?.signal("STOP");
        // Where there is no other, longer than that would be all that happens.
        let most = if self.watchers.len() > 1 { 25_000 } else { 3_000 };
        self.undo_after(Undo::Thaw(number), 500, most);
        Some("watcher frozen")
    }

    fn servers_fail(&mut self) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Servers) {
            return None;
        }
        let servers = self.servers.as_mut()?;
        let what = servers.fail(&mut self.random)?;
        let most = servers.longest_outage();
        self.undo_after(Undo::Servers, 0, most);
        Some(what)
    }

    /// The way to one of the servers.
    fn network(&mut self) -> Option<&Proxy> {
        let ways = self.networks.len();
        // The choice is one only where there are several: a seed's storm is what it was.
        let chosen = if ways > 1 { self.random.random_range(0..ways) } else { 0 };
        self.networks.get(chosen)
    }

    fn cut_network(&mut self, passage: Passage, what: &'static str) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Network) {
            return None;
        }
        self.network()?.set(passage);
        self.undo_after(Undo::Network, 200, 15_000);
        Some(what)
    }

    fn slow_network(&mut self) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Slowness) {
            return None;
        }
        let delay = Duration::from_millis(self.random.random_range(5..300));
        self.network()?.slow_down(delay);
        self.undo_after(Undo::Slowness, 500, 10_000);
        Some("network slowed")
    }

    fn tekton_leaves(&mut self) -> Option<&'static str> {
        if self.is_to_be_undone(Undo::Tekton) {
            return None;
        }
        self.world.cluster.faults().tekton_leaves();
        self.undo_after(Undo::Tekton, 500, 6_000);
        Some("Tekton away")
    }

    fn cut_answers(&mut self) -> Option<&'static str> {
        let count = self.random.random_range(1..10);
        self.network()?.cut_answers(count);
        Some("answers cut")
    }

    fn api_server_fails(&mut self, number: u32) -> &'static str {
        let times = self.random.random_range(1..20);
        let starts = |action| FaultRule::new(action).verb("patch").resource("pipelineruns").times(times);
        let refusal = |status, reason: &str| FaultAction::Error {
            status,
            reason: reason.to_owned(),
            message: "chaos".to_owned(),
        };
        let faults = self.world.cluster.faults().clone();
        match number {
            8 => {
                faults.add(starts(FaultAction::Latency(Duration::from_millis(u64::from(times) * 100))));
                "starts slow"
            }
            9 => {
                faults.add(starts(FaultAction::DropAfter));
                "starts' answers dropped"
            }
            10 => {
                faults.add(starts(FaultAction::DropBefore));
                "starts dropped"
            }
            11 => {
                faults.add(starts(refusal(503, "ServiceUnavailable")));
                faults.add(FaultRule::new(refusal(500, "InternalError")).times(times));
                "API server's errors"
            }
            12 => {
                if self.random.random_bool(0.5) {
                    faults.expire_versions();
                }
                faults.close_watches();
                "watches closed"
            }
            _ => {
                if !self.is_to_be_undone(Undo::Watches) {
                    faults.pause_watches();
                    self.undo_after(Undo::Watches, 200, 8_000);
                }
                "watches paused"
            }
        }
    }
}
