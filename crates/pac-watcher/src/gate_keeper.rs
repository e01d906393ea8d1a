//! Keeps the gate as the settings in force say, and finds out whether it holds.
//!
//! The watcher that leads closes it while the system is switched on, and opens it and hands back what it kept while the system is
//! off. Every watcher tries whether it holds: whoever comes to lead has its own word for that.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use pac_concurrency::{RepositoryKey, Scope};
use pac_config::Settings;
use pac_kube::gate::{self, GateError, GateKind, GateState, ORDER_WITHIN, Proof};
use pac_state::active_store::{ActiveStore, System};
use pac_state::gate::{Gate, drain, lost_orders};
use pac_state::health::{Health, Part};
use pac_state::index::Index;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// How often it is looked at, and tried while somebody waits.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often while it is to hold and doesn't, or nobody knows.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How often while it can't be asked: a webhook that is away may take the API server seconds.
const ASK_AGAIN_EVERY: Duration = Duration::from_secs(3);
/// How soon after a trial that let somebody be admitted another one is made because of what is seen: each run that comes may be a sign.
const ANOTHER_AFTER: Duration = Duration::from_secs(1);
/// How long after it was closed it is tried: several API servers hear of that in their own time.
const IN_EFFECT_AFTER: Duration = Duration::from_secs(1);
/// How long to wait for the engine to finish when the system is switched off.
const LOOK_FOR_END: Duration = Duration::from_millis(100);
/// Runs that are tried at most, one after the other, until one of them tells.
const TRIALS: usize = 3;

/// See the [module](self).
pub(crate) struct GateKeeper {
    /// How to reach the cluster.
    pub client: Client,
    /// What is known of it, for whoever decides.
    pub gate: Arc<Gate>,
    /// Who waits.
    pub index: Arc<Index>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What is at work.
    pub active_store: Arc<ActiveStore>,
    /// The Repository whose limit others inherit.
    pub global: RepositoryKey,
    /// Whether this watcher leads.
    pub leading: watch::Receiver<bool>,
    /// The settings in force.
    pub settings: watch::Receiver<Arc<Settings>>,
}

/// What is left to do while the system is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HandBack {
    /// Everything, the runs whose order is lost included: the gate was closed.
    All,
    /// What the gate kept.
    Kept,
    /// Nothing: the last time there was nothing to hand back.
    Done,
}

// === impl GateKeeper ===

impl GateKeeper {
    /// Keeps it, for ever.
    pub(crate) async fn run(mut self) {
        let mut left = self.left_at_first();
        let mut complaint = None;
        loop {
            let enabled = self.settings.borrow_and_update().enabled;
            let leads = *self.leading.borrow_and_update();
            let wait = if enabled {
                left = HandBack::All;
                self.keep_closed(leads).await
            } else {
                if !leads {
                    // Whoever led meanwhile may not have come to its end.
                    left = left.max(self.left_at_first());
                }
                self.keep_open(leads, &mut left, &mut complaint).await
            };
            let (is_proven, looked) = (self.gate.lets_admit(Instant::now()), Instant::now());
            tokio::select! {
                () = sleep(wait) => {}
                // One that came to nothing is made again in a moment anyway.
                () = self.gate.proof_wanted(), if enabled && (is_proven || wait > RETRY_EVERY) => {
                    if is_proven {
                        sleep_until(looked + ANOTHER_AFTER).await;
                    }
                }
                changed = self.settings.changed() => if changed.is_err() { return },
                // Its sender may end before the watcher does: then nobody leads.
                Ok(()) = self.leading.changed() => {}
            }
        }
    }

    /// What may be left to hand back by a watcher of which nothing is known. That none kept an order doesn't say that none is lost
    /// where orders aren't kept.
    fn left_at_first(&self) -> HandBack {
        if self.gate.kind().keeps_orders() { HandBack::Kept } else { HandBack::All }
    }

    /// Closes it, if this watcher leads, and finds out whether it holds; says when to look again.
    async fn keep_closed(&self, leads: bool) -> Duration {
        let kind = self.gate.kind();
        let mut state = gate::read(&self.client, kind).await;
        if leads && matches!(state, Ok(GateState::Open | GateState::Other(_))) {
            let before = state.clone();
            state = gate::close(&self.client, kind).await;
            if state == Ok(GateState::Closed) {
                info!(gate = kind.label(), "closed the gate: Pipelines-as-Code's own queue hears of no more runs");
            }
            if state != before {
                sleep(IN_EFFECT_AFTER).await;
            }
        }
        let mut again = LOOK_EVERY;
        match self.try_it().await {
            Some(Proof::Holds) => {}
            Some(Proof::Refuses(_)) => again = ASK_AGAIN_EVERY,
            Some(Proof::DoesNotHold(why)) => return self.note_trouble(&format!("{why}{}", also(&state)), leads),
            // No trial told: what was known stands for a while.
            Some(Proof::Unknown(why)) => {
                debug!(why, "could not try whether the gate holds");
                if !self.gate.lets_admit(Instant::now()) {
                    self.gate.doubt();
                    let why = format!(
                        "nobody can tell whether it holds, so none of a Repository with a limit is admitted: {why}"
                    );
                    self.health.trouble(Part::Gate, why);
                }
                return RETRY_EVERY;
            }
            None => match state {
                Ok(GateState::Closed) => self.gate.looks_right(),
                // The watcher that leads is about to close it, and whoever comes to wait has it tried.
                Ok(GateState::Open) if !leads => return LOOK_EVERY,
                Ok(state) => return self.note_trouble(&words(kind, &state), leads),
                Err(GateError::Forbidden(why)) => return self.note_trouble(&why, leads),
                Err(GateError::Failed(why)) => {
                    debug!(why, "could not look at the gate");
                    return LOOK_EVERY;
                }
            },
        }
        self.health.fine(Part::Gate);
        self.tell();
        again
    }

    /// Tries it on a run that waits; none if there is no such run.
    async fn try_it(&self) -> Option<Proof> {
        let mut last = None;
        for run in self.index.runs_to_try(TRIALS) {
            let began = Instant::now();
            let proof = gate::prove(&self.client, self.gate.kind(), &run).await;
            match proof.keeps_out() {
                Some(true) => {
                    if self.gate.prove(began, proof.refusal()) {
                        info!(
                            gate = self.gate.kind().label(),
                            "the gate holds: runs are kept from Pipelines-as-Code's own queue"
                        );
                        self.look_at_everything();
                    }
                    return Some(proof);
                }
                Some(false) => return Some(proof),
                None => last = Some(proof),
            }
        }
        last
    }

    fn look_at_everything(&self) {
        let Some(queue) = self.active_store.queue() else { return };
        self.index.repositories().into_iter().for_each(|repository| queue.add(repository, Scope::Head));
    }

    /// Notes that it doesn't hold; says when to look again.
    fn note_trouble(&self, why: &str, leads: bool) -> Duration {
        self.gate.disprove();
        let what = format!(
            "Pipelines-as-Code's own queue isn't kept out, so none of a Repository with a limit is admitted: {why}; apply the manifests again, and see docs/companion.md"
        );
        self.health.trouble(Part::Gate, what);
        self.tell();
        if leads { RETRY_EVERY } else { RETRY_EVERY * 2 }
    }

    /// Says what is so without being in anybody's way.
    fn tell(&self) {
        let drain = self.index.open_to_pacs_queue().map(|(runs, repository)| drain(runs, &repository));
        self.health.note_drain(drain);
        self.health.note_lost_orders(self.gate.loses_orders(Instant::now()).as_deref().map(lost_orders));
    }

    /// Opens it, if this watcher leads, and hands back what is left; says when to look again.
    async fn keep_open(&self, leads: bool, left: &mut HandBack, complaint: &mut Option<String>) -> Duration {
        self.gate.forget();
        self.health.fine(Part::Gate);
        self.health.note_drain(None);
        self.health.note_lost_orders(None);
        if !leads {
            return LOOK_EVERY;
        }
        // What this watcher has in hand it starts first.
        if !matches!(self.active_store.system(), System::Off) {
            return LOOK_FOR_END;
        }
        let kind = self.gate.kind();
        match gate::read(&self.client, kind).await {
            Ok(GateState::Open | GateState::Missing(_)) => {}
            Ok(_) => match gate::open(&self.client, kind).await {
                Ok(GateState::Open) => {
                    info!(gate = kind.label(), "opened the gate: Pipelines-as-Code's own queue is at work again");
                    *left = HandBack::All;
                }
                Ok(state) => complain(complaint, &words(kind, &state)),
                Err(error) => complain(complaint, &error.to_string()),
            },
            // Without the right to look, as before a version that needed it, nobody closed it.
            Err(GateError::Forbidden(why)) => debug!(why, "the gate may not be looked at"),
            Err(error) => complain(complaint, &error.to_string()),
        }
        if *left == HandBack::Done {
            return LOOK_EVERY;
        }
        let lost_after = (*left == HandBack::All).then_some(ORDER_WITHIN);
        let (mut settings, stop) = (self.settings.clone(), CancellationToken::new());
        let mut handing_back = Box::pin(gate::hand_back_all(&self.client, &self.global, lost_after, &stop));
        let handed_back = tokio::select! {
            handed_back = handing_back.as_mut() => handed_back,
            // They may have switched the system on again.
            _ = settings.changed() => {
                stop.cancel();
                let _ = handing_back.await;
                return Duration::ZERO;
            }
        };
        match handed_back {
            Ok(handed_back) => {
                let (runs, failed) = (handed_back.runs, &handed_back.failed);
                if runs > 0 {
                    info!(runs, "handed {runs} runs back to Pipelines-as-Code's own queue");
                }
                match failed.first() {
                    Some((run, why)) => complain(complaint, &format!("{run} can't be handed back: {why}")),
                    // An API server that heard late of the open gate may have kept one more.
                    None if runs == 0 => *left = HandBack::Done,
                    None => {}
                }
            }
            Err(why) => complain(complaint, &why),
        }
        LOOK_EVERY
    }
}

// === impl HandBack ===

impl HandBack {
    /// The one that leaves more to do.
    fn max(self, other: Self) -> Self {
        if self == Self::All || other == Self::Done { self } else { other }
    }
}

/// What is wrong with it by its own word, in a sentence's end.
fn also(state: &Result<GateState, GateError>) -> String {
    match state {
        Ok(GateState::Missing(why) | GateState::Other(why)) => format!(" ({why})"),
        _ => String::new(),
    }
}

fn words(kind: GateKind, state: &GateState) -> String {
    match state {
        GateState::Missing(why) | GateState::Other(why) => why.clone(),
        GateState::Open => format!("{} stops nothing (namespaceSelector)", kind.object()),
        GateState::Closed => format!("{} is closed", kind.object()),
    }
}

/// Says what keeps the gate from being opened, or runs from being handed back, once.
fn complain(said: &mut Option<String>, why: &str) {
    if said.as_deref() != Some(why) {
        warn!(
            "the concurrency system is switched off, and Pipelines-as-Code's own queue may not hear of all runs: {why}"
        );
        *said = Some(why.to_owned());
    }
}
