//! What is known of the gate that keeps PipelineRuns out of the queue of Pipelines-as-Code's own, and whether anybody is admitted by it.
//!
//! Two queues that start runs of one Repository keep no limit (P1). So where there is one, nobody is admitted unless a trial has
//! shown that the gate holds, within the last [`PROOF_STANDS`]. Trials are made beforehand and in the background, so that no start
//! waits for one; a decision reads what the last one came to, and asks for another where there is none.
//!
//! A trial that comes to nothing, because the API server is slow or away, changes nothing for so long: what would be started
//! needs the same API server. One that shows that the gate doesn't hold counts at once.
//!
//! A gate that can't be asked, such as a webhook that nobody serves, holds as well: the API server refuses the write. But PAC's word on
//! the order of an event's runs is lost with it, which people are told.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pac_concurrency::RepositoryKey;
use pac_kube::gate::GateKind;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a trial speaks for the time after it. Long enough that an API server's restart stops nobody for want of a new one, and
/// that six trials, made every 10 s while somebody waits, must come to nothing before that; short enough that a gate of which nothing
/// can be told isn't relied on.
pub const PROOF_STANDS: Duration = Duration::from_secs(60);

/// How long a trial speaks that came to a refusal, if none followed because nobody waited. Long enough for an alert on it to ring where
/// runs wait for seconds alone; short enough that one on what is mended doesn't ring for the rest of the night.
const REFUSAL_STANDS: Duration = Duration::from_secs(600);

/// See the [module](self).
#[derive(Debug)]
pub struct Gate {
    kind: GateKind,
    known: Mutex<Known>,
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Known {
    /// When a trial last showed that it holds, if none showed the contrary since.
    proven: Option<Instant>,
    /// Whether it is taken to hold, for people; none while nothing is known.
    holds: Option<bool>,
    /// When the API server last refused what it couldn't ask the gate about, if no trial came to something else since; and its words.
    refused: Option<(Instant, String)>,
}

// === impl Gate ===

impl Gate {
    /// A gate of which nothing is known yet.
    pub fn new(kind: GateKind) -> Self {
        Self { kind, known: Mutex::default(), wanted: Notify::new() }
    }

    /// What it is made of.
    pub fn kind(&self) -> GateKind {
        self.kind
    }

    /// Whether runs of Repositories with a limit may be admitted at `now`.
    pub fn lets_admit(&self, now: Instant) -> bool {
        self.known().proven.is_some_and(|proven| now.saturating_duration_since(proven) < PROOF_STANDS)
    }

    /// Whether it is taken to hold; none while nothing is known.
    pub fn holds(&self) -> Option<bool> {
        self.known().holds
    }

    /// Has a trial made soon: somebody waits for one, or there is a sign that it isn't as the last one found it.
    pub fn want_proof(&self) {
        self.wanted.notify_one();
    }

    /// Waits until a trial is wanted.
    pub async fn proof_wanted(&self) {
        self.wanted.notified().await;
    }

    /// Takes in that a trial that began at `began` showed that it holds, by a refusal if the API server couldn't ask it; says whether that
    /// lets somebody be admitted who was not.
    pub fn prove(&self, began: Instant, refusal: Option<&str>) -> bool {
        let is_news = !self.lets_admit(began);
        let refused = refusal.map(|why| (began, why.to_owned()));
        *self.known() = Known { proven: Some(began), holds: Some(true), refused };
        is_news
    }

    /// Why PAC's word on the order of an event's runs is lost at `now`, if it is though this gate is one that keeps it.
    pub fn loses_orders(&self, now: Instant) -> Option<String> {
        let stands = |at: Instant| now.saturating_duration_since(at) < REFUSAL_STANDS;
        self.known().refused.as_ref().filter(|(at, _)| stands(*at)).map(|(_, why)| why.clone())
    }

    /// Takes in that it is as it should be by its own word, without a trial.
    pub fn looks_right(&self) {
        self.known().holds = Some(true);
    }

    /// Takes in that it doesn't hold.
    pub fn disprove(&self) {
        *self.known() = Known { holds: Some(false), ..Known::default() };
    }

    /// Takes in that nobody knows whether it holds, and that no trial speaks for it any more.
    pub fn doubt(&self) {
        self.known().holds = Some(false);
    }

    /// Forgets all of it: the system is switched off.
    pub fn forget(&self) {
        *self.known() = Known::default();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is told of runs that PAC's own queue has: it had them before it was kept out.
pub fn drain(runs: usize, repository: &RepositoryKey) -> String {
    let (runs, wait) = if runs == 1 { ("1 run".to_owned(), "waits") } else { (format!("{runs} runs"), "wait") };
    format!(
        "PAC's own queue still has {runs} from before, which {wait} with pipelinesascode.tekton.dev/execution-order; nobody of their Repositories ({repository} is one) is admitted until PAC has started them"
    )
}

/// What is told of orders that are lost, for this reason.
pub fn lost_orders(why: &str) -> String {
    format!(
        "PAC's word on the order of an event's runs is lost, because the API server can't ask the gate and refuses the write; runs of one event are admitted in the order of their names: {why}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_lets_admit_for_a_while_and_one_to_the_contrary_no_more() {
        let (gate, began) = (Gate::new(GateKind::Policy), Instant::now());
        assert_eq!((gate.lets_admit(began), gate.holds()), (false, None));
        gate.looks_right();
        assert_eq!((gate.lets_admit(began), gate.holds()), (false, Some(true)), "its own word is not enough");
        assert!(gate.prove(began, None) && !gate.prove(began, None));
        let last = began + PROOF_STANDS - Duration::from_millis(1);
        assert!(gate.lets_admit(last) && !gate.lets_admit(began + PROOF_STANDS));
        gate.disprove();
        assert_eq!((gate.lets_admit(began), gate.holds()), (false, Some(false)));
        assert!(gate.prove(began, None), "which is news again");
    }

    #[test]
    fn a_refusal_is_a_proof_and_loses_orders_until_another_trial_or_for_a_while() {
        let (gate, began) = (Gate::new(GateKind::Webhook), Instant::now());
        assert!(gate.prove(began, Some("nobody serves it")));
        assert_eq!((gate.lets_admit(began), gate.holds()), (true, Some(true)));
        gate.looks_right();
        let last = began + REFUSAL_STANDS - Duration::from_millis(1);
        assert_eq!(gate.loses_orders(last).as_deref(), Some("nobody serves it"), "nobody has tried it since");
        assert_eq!(gate.loses_orders(began + REFUSAL_STANDS), None);
        gate.prove(began, None);
        assert_eq!(gate.loses_orders(began), None);
        gate.prove(began, Some("away"));
        gate.disprove();
        assert_eq!(gate.loses_orders(began), None, "PAC's queue has them");
    }
}
