//! Why a run is where it is.

use k8s_openapi::jiff::Timestamp;
use kube::api::Api;
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_concurrency::{Limit, RepositoryKey, RunState};
use pac_kube::api::labels::SELECTOR;
use pac_kube::api::{PipelineRun, Readable};
use pac_kube::convert::{self, ConvertError, FinalState, Phase};
use pac_kube::error::with_causes;
use pac_queue::history::watcher;
use pac_queue::view::{Answer, Explanation, RepositoryQueue};
use pac_state::active_store::System;
use pac_state::gate::drain;
use pac_state::health::Part;
use pac_state::index::{End, Shown, ShownRun};
use tokio::time::Instant;

use super::query::{QueueQuery, lasting};

/// An answer, in a word and in a sentence.
type Verdict = (Answer, String);

// === impl QueueQuery ===

impl QueueQuery {
    /// Why run `name` of `namespace` is where it is.
    pub(crate) async fn explain(&self, namespace: &str, name: &str) -> Explanation {
        let path = format!("{namespace}/{name}");
        let mut told = Explanation {
            watcher: self.watcher(),
            run: path.clone(),
            repository: None,
            answer: Answer::Unknown,
            because: String::new(),
            position: None,
            ahead: Vec::new(),
            holders: Vec::new(),
            estimate: None,
            times_known: 0,
            history: Vec::new(),
        };
        let Some((key, shown, run)) = self.find(&path) else {
            (told.answer, told.because) = self.explain_unseen(namespace, name, &mut told).await;
            return told;
        };
        let queue = self.queue(&key).await;
        told.repository = Some(key.to_string());
        if let Some(queue) = &queue {
            told.fill_in(queue, run.entry.run.uid());
        }
        (told.answer, told.because) = self.judge(&key, &shown, &run, &told, queue.as_ref());
        if told.answer != Answer::Waiting {
            told.estimate = None;
        }
        told
    }

    fn find(&self, path: &str) -> Option<(RepositoryKey, Shown, ShownRun)> {
        let key = self.index.home(path)?;
        let shown = self.index.shown(&key)?;
        let run = shown.runs.iter().find(|run| run.entry.run.path() == path)?.clone();
        Some((key, shown, run))
    }

    /// A run the watch doesn't show: a live read tells why.
    async fn explain_unseen(&self, namespace: &str, name: &str, told: &mut Explanation) -> Verdict {
        let runs: Api<Readable<PipelineRun>> = Api::namespaced(self.client.clone(), namespace);
        let run = match tokio::time::timeout(REQUEST_DEADLINE, runs.get_opt(name)).await {
            Ok(Ok(Some(run))) => run,
            Ok(Ok(None)) => {
                return (Answer::Unknown, format!("there is no PipelineRun {name} in namespace {namespace}"));
            }
            Ok(Err(error)) => return api_server_unreachable(&with_causes(&error)),
            Err(_) => return api_server_unreachable("no answer in time"),
        };
        let run = match run.0 {
            Ok(run) => run,
            Err(unreadable) => return (Answer::Foreign, format!("it can't be read: {unreadable}")),
        };
        let view = match convert::run_view(&run, None) {
            Ok(view) => view,
            Err(error @ ConvertError::NoRepository) => {
                return (Answer::Foreign, format!("it is no run of Pipelines-as-Code's: {error}"));
            }
            Err(error) => return (Answer::Foreign, format!("it can't be worked with: {error}")),
        };
        told.repository = Some(view.repository.to_string());
        told.history = self.history(&view.repository).await.of(view.key.uid()).cloned().collect();
        match (view.phase, self.active_store.system()) {
            (Phase::Done(state), _) => (Answer::Done, done(state)),
            (_, System::Off) => switched_off(),
            (_, System::Starting) => (Answer::NotReady, "the watcher is not at work yet".to_owned()),
            (_, System::On(_) | System::Shadow) => {
                let why = format!("its labels don't match what the watcher follows: {SELECTOR}");
                (Answer::Foreign, why)
            }
        }
    }

    fn judge(
        &self,
        key: &RepositoryKey,
        shown: &Shown,
        run: &ShownRun,
        told: &Explanation,
        queue: Option<&RepositoryQueue>,
    ) -> Verdict {
        if let Some(held) = &run.held {
            return (Answer::Foreign, held.to_string());
        }
        match (run.state, &run.end) {
            (_, Some(End::Done(state))) => return (Answer::Done, done(*state)),
            (_, Some(End::ByOperator(reason))) => return released(reason),
            (_, Some(End::Gone | End::Unlimited)) => {
                return (Answer::Unknown, "it is gone: deleted, or made again under its name".to_owned());
            }
            (RunState::Cancelled | RunState::Stopping, _) | (_, Some(End::Withdrawn)) => {
                let why = "it was cancelled or is being deleted, and is not going to be started";
                return (Answer::Withdrawn, why.to_owned());
            }
            (RunState::Running, None) => return running(told),
            (_, None) => {}
        }
        if matches!(self.active_store.system(), System::Shadow) {
            let why = "Pipelines-as-Code's own queue starts it; the watcher is in shadow mode, and starts nothing";
            return (Answer::PacsQueue, why.to_owned());
        }
        if let Some(verdict) = self.judge_repository(key, shown, queue) {
            return verdict;
        }
        judge_waiting(run, told, self.index.limit(key))
    }

    /// What keeps every run of the repository waiting.
    fn judge_repository(&self, key: &RepositoryKey, shown: &Shown, queue: Option<&RepositoryQueue>) -> Option<Verdict> {
        let limit = self.limit(key, shown.own_limit);
        if let Some(why) = limit.why {
            let answer = match shown.own_limit {
                pac_state::index::OwnLimit::Missing => Answer::RepositoryMissing,
                _ => Answer::LimitUnreadable,
            };
            return Some((answer, format!("{why}; none of its runs is admitted until that is mended")));
        }
        if self.index.awaits_gate(key) {
            let trying = || {
                "Pipelines-as-Code's own queue must be kept out first, and it is being tried whether the gate holds"
                    .to_owned()
            };
            return Some((Answer::Gate, self.health.trouble_of(Part::Gate).unwrap_or_else(trying)));
        }
        if shown.open_to_pacs_queue > 0 {
            return Some((Answer::PacsQueue, drain(shown.open_to_pacs_queue, key)));
        }
        if self.index.is_paused() {
            let why =
                "everything is paused: concurrency-paused is true in the settings, and nobody is admitted anywhere";
            return Some((Answer::Paused, why.to_owned()));
        }
        if let Some(pause) = lasting(shown.pause.as_ref(), Timestamp::now()) {
            let until = match (pause.until, pause.complaint) {
                (Some(until), _) => format!("until {until}"),
                (None, Some(complaint)) => complaint,
                (None, None) => "until it is resumed".to_owned(),
            };
            return Some((Answer::Paused, format!("Repository {key} is paused {until}: {}", pause.reason)));
        }
        if let Some(why) = self.health.trouble_of(Part::Store).or_else(|| queue?.store_trouble.clone()) {
            let why = format!("the store of slots and queues can't be reached, so nobody is admitted: {why}");
            return Some((Answer::StoreUnreachable, why));
        }
        let troubled = [Part::ApiServer, Part::RunWatch, Part::RepositoryWatch];
        troubled.into_iter().find_map(|part| self.health.trouble_of(part)).map(|why| api_server_unreachable(&why))
    }
}

/// What keeps this run waiting, of a repository that admits.
fn judge_waiting(run: &ShownRun, told: &Explanation, limit: Limit) -> Verdict {
    let now = Instant::now();
    if let (RunState::BackingOff, Some(until)) = (run.state, run.backs_off_until) {
        let seconds = until.saturating_duration_since(now).as_secs() + 1;
        let why = run.refusal.as_deref().unwrap_or("it gave no reason");
        let told = format!(
            "the API server, or a webhook it asks, refused to start it, and others may pass it meanwhile; tried again in \
             {seconds} s. It said: {why}"
        );
        return (Answer::Refused, told);
    }
    if told.holders.iter().any(|slot| slot.uid == run.entry.run.uid()) {
        let failed = run.refusal.as_ref().filter(|_| run.backs_off_until.is_none());
        let failed = failed.map(|why| format!("; the last try came to nothing: {why}")).unwrap_or_default();
        return (Answer::Starting, format!("it has a slot, and is being started{failed}"));
    }
    if !run.is_ours {
        let why = "its Repository has no limit and Pipelines-as-Code gave it no order (annotation \
                   pipelinesascode.tekton.dev/execution-order): somebody else made it wait, such as Kueue, and is to start it";
        return (Answer::Foreign, why.to_owned());
    }
    if !run.is_queued {
        let why = "Pipelines-as-Code has not said yet that it is queued (annotation pipelinesascode.tekton.dev/state)";
        return (Answer::Arriving, why.to_owned());
    }
    if run.settles.is_some_and(|settles| settles > now) {
        let why = "its place among the runs of its event is still to come (annotation \
                   pipelinesascode.tekton.dev/execution-order); without one it is queued by what is known in a few seconds";
        return (Answer::PlaceToCome, why.to_owned());
    }
    if run.awaits_secret_until.is_some_and(|until| until > now) && told.ahead.is_empty() {
        let why = "it is next, and Pipelines-as-Code is still to make the Secret with which it clones its Git repository \
                   (annotation pipelinesascode.tekton.dev/secret-created); without it, it is started a few seconds later";
        return (Answer::Waiting, why.to_owned());
    }
    let ahead = match told.ahead.len() {
        0 => "it is next".to_owned(),
        1 => "one run is before it".to_owned(),
        many => format!("{many} runs are before it"),
    };
    let taken = told.holders.len();
    (Answer::Waiting, format!("it waits for one of {limit} slots, of which {taken} are taken; {ahead}"))
}

fn running(told: &Explanation) -> Verdict {
    let slot = told.holders.iter().find(|slot| slot.run == told.run);
    let why = match slot.map(|slot| (&slot.holder, slot.since)) {
        Some((Some(holder), Some(since))) => format!("it runs; {} gave it its slot at {since}", watcher(holder)),
        Some((Some(holder), None)) => format!("it runs, in a slot of {}", watcher(holder)),
        _ => "it runs, without a slot".to_owned(),
    };
    (Answer::Running, why)
}

fn released(reason: &str) -> Verdict {
    (Answer::Released, format!("it runs, but counts no more: an operator released it ({reason})"))
}

fn done(state: FinalState) -> String {
    match state {
        FinalState::Completed => "it is done and succeeded".to_owned(),
        FinalState::Failed => "it is done; it failed or was cancelled".to_owned(),
    }
}

fn switched_off() -> Verdict {
    let why = "the concurrency system is switched off (concurrency-enabled is false): nobody is admitted";
    (Answer::SwitchedOff, why.to_owned())
}

fn api_server_unreachable(why: &str) -> Verdict {
    (Answer::ApiServerUnreachable, format!("the API server can't be reached, so nobody is started: {why}"))
}
