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
use pac_queue::view::{Answer, Explanation, RepositoryQueue, SlotView};
use pac_state::active_store::System;
use pac_state::gate::{drain, lost_orders};
use pac_state::health::Part;
use pac_state::index::{End, Shown, ShownRun};
use tokio::time::Instant;

use super::query::{QueueQuery, lasting};

/// Why a run is where it is.
#[derive(Debug)]
pub(super) struct Verdict {
    /// In a word.
    pub(super) answer: Answer,
    /// In a sentence or two, for operators.
    because: String,
    /// Likewise for whoever may read the run: what holds for as long as the answer does, and tells nothing of servers. None if the
    /// run itself is to say nothing.
    pub(super) notice: Option<String>,
}

/// Who has a slot, and who goes before a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Those that have a slot.
    pub(super) holders: &'a [SlotView],
    /// How many go before the run.
    pub(super) ahead: usize,
}

// === impl QueueQuery ===

impl QueueQuery {
    /// Why run `name` of `namespace` is where it is.
    pub async fn explain(&self, namespace: &str, name: &str) -> Explanation {
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
            let verdict = self.explain_unseen(namespace, name, &mut told).await;
            (told.answer, told.because) = (verdict.answer, verdict.because);
            return told;
        };
        let queue = self.queue(&key).await;
        told.repository = Some(key.to_string());
        if let Some(queue) = &queue {
            told.fill_in(queue, run.entry.run.uid());
        }
        let line = Line { holders: &told.holders, ahead: told.ahead.len() };
        let verdict = self.judge(&key, &shown, &run, line, queue.as_ref());
        (told.answer, told.because) = (verdict.answer, verdict.because);
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
                let why = format!("there is no PipelineRun {name} in namespace {namespace}");
                return Verdict::silent(Answer::Unknown, why);
            }
            Ok(Err(error)) => return api_server_unreachable(&with_causes(&error)),
            Err(_) => return api_server_unreachable("no answer in time"),
        };
        let run = match run.0 {
            Ok(run) => run,
            Err(unreadable) => return Verdict::silent(Answer::Foreign, format!("it can't be read: {unreadable}")),
        };
        let view = match convert::run_view(&run, None) {
            Ok(view) => view,
            Err(error @ ConvertError::NoRepository) => {
                return Verdict::silent(Answer::Foreign, format!("it is no run of Pipelines-as-Code's: {error}"));
            }
            Err(error) => return Verdict::silent(Answer::Foreign, format!("it can't be worked with: {error}")),
        };
        told.repository = Some(view.repository.to_string());
        told.history = self.history(&view.repository).await.of(view.key.uid()).cloned().collect();
        match (view.phase, self.active_store.system()) {
            (Phase::Done(state), _) => Verdict::silent(Answer::Done, done(state)),
            (_, System::Off) => {
                let why = "the concurrency system is switched off (concurrency-enabled is false): nobody is admitted";
                Verdict::silent(Answer::SwitchedOff, why)
            }
            (_, System::Starting) => Verdict::silent(Answer::NotReady, "the watcher is not at work yet"),
            (_, System::On(_) | System::Shadow) => {
                let why = format!("its labels don't match what the watcher follows: {SELECTOR}");
                Verdict::silent(Answer::Foreign, why)
            }
        }
    }

    pub(super) fn judge(
        &self,
        key: &RepositoryKey,
        shown: &Shown,
        run: &ShownRun,
        line: Line<'_>,
        queue: Option<&RepositoryQueue>,
    ) -> Verdict {
        if let Some(held) = &run.held {
            // Where there is no limit this system has no part in what others hold.
            let notice = self.index.limit(key).is_limited().then(|| held.to_string());
            return Verdict { answer: Answer::Foreign, because: held.to_string(), notice };
        }
        match (run.state, &run.end) {
            (_, Some(End::Done(state))) => return Verdict::silent(Answer::Done, done(*state)),
            (_, Some(End::ByOperator(reason))) => {
                let why = format!("it runs, but counts no more: an operator released it ({reason})");
                return Verdict::silent(Answer::Released, why);
            }
            (_, Some(End::Gone | End::Unlimited)) => {
                return Verdict::silent(Answer::Unknown, "it is gone: deleted, or made again under its name");
            }
            (RunState::Cancelled | RunState::Stopping, _) | (_, Some(End::Withdrawn)) => {
                let why = "it was cancelled or is being deleted, and is not going to be started";
                return Verdict::silent(Answer::Withdrawn, why);
            }
            (RunState::Running, None) => return running(run, line),
            (_, None) => {}
        }
        if matches!(self.active_store.system(), System::Shadow) {
            let why = "Pipelines-as-Code's own queue starts it; the watcher is in shadow mode, and starts nothing";
            return Verdict::silent(Answer::PacsQueue, why);
        }
        if let Some(verdict) = self.judge_repository(key, shown, queue) {
            return verdict;
        }
        let verdict = judge_waiting(run, line, self.index.limit(key));
        let lost = self.index.gate().and_then(|gate| gate.loses_orders(Instant::now()));
        match lost {
            Some(why) if !run.is_ordered && matches!(verdict.answer, Answer::Waiting | Answer::PlaceToCome) => {
                Verdict { because: format!("{}. {}", verdict.because, lost_orders(&why)), ..verdict }
            }
            _ => verdict,
        }
    }

    /// What keeps every run of the repository waiting.
    fn judge_repository(&self, key: &RepositoryKey, shown: &Shown, queue: Option<&RepositoryQueue>) -> Option<Verdict> {
        let limit = self.limit(key, shown.own_limit);
        if let Some(why) = limit.why {
            let answer = match shown.own_limit {
                pac_state::index::OwnLimit::Missing => Answer::RepositoryMissing,
                _ => Answer::LimitUnreadable,
            };
            return Some(Verdict::plain(answer, format!("{why}; none of its runs is admitted until that is mended")));
        }
        if self.index.awaits_gate(key) {
            let notice = "Pipelines-as-Code's own queue must be kept out first";
            let trying = || format!("{notice}, and it is being tried whether the gate holds");
            let why = self.health.trouble_of(Part::Gate).unwrap_or_else(trying);
            return Some(Verdict::told_apart(Answer::Gate, why, notice));
        }
        if shown.open_to_pacs_queue > 0 {
            let notice = "Pipelines-as-Code's own queue still has runs of its Repository to start, and no other is admitted \
                          until it has";
            return Some(Verdict::told_apart(Answer::PacsQueue, drain(shown.open_to_pacs_queue, key), notice));
        }
        if self.index.is_paused() {
            let why =
                "everything is paused: concurrency-paused is true in the settings, and nobody is admitted anywhere";
            return Some(Verdict::plain(Answer::Paused, why));
        }
        if let Some(pause) = lasting(shown.pause.as_ref(), Timestamp::now()) {
            let until = match (pause.until, pause.complaint) {
                (Some(until), _) => format!("until {until}"),
                (None, Some(complaint)) => complaint,
                (None, None) => "until it is resumed".to_owned(),
            };
            let why = format!("Repository {key} is paused {until}: {}", pause.reason);
            return Some(Verdict::plain(Answer::Paused, why));
        }
        if let Some(why) = self.health.trouble_of(Part::Store).or_else(|| queue?.store_trouble.clone()) {
            let notice = "the store of slots and queues can't be reached, so nobody is admitted";
            return Some(Verdict::told_apart(Answer::StoreUnreachable, format!("{notice}: {why}"), notice));
        }
        let troubled = [Part::ApiServer, Part::RunWatch, Part::RepositoryWatch];
        troubled.into_iter().find_map(|part| self.health.trouble_of(part)).map(|why| api_server_unreachable(&why))
    }
}

/// What keeps this run waiting, of a repository that admits.
fn judge_waiting(run: &ShownRun, line: Line<'_>, limit: Limit) -> Verdict {
    let now = Instant::now();
    if let (RunState::BackingOff, Some(until)) = (run.state, run.backs_off_until) {
        let seconds = until.saturating_duration_since(now).as_secs() + 1;
        let why = run.refusal.as_deref().unwrap_or("it gave no reason");
        let refused = "the API server, or a webhook it asks, refused to start it, and others may pass it meanwhile";
        let because = format!("{refused}; tried again in {seconds} s. It said: {why}");
        return Verdict::told_apart(Answer::Refused, because, format!("{refused}. It said: {why}"));
    }
    if line.holders.iter().any(|slot| slot.uid == run.entry.run.uid()) {
        let starting = "it has a slot, and is being started";
        let failed = run.refusal.as_ref().filter(|_| run.backs_off_until.is_none());
        return match failed {
            Some(why) => Verdict::plain(Answer::Starting, format!("{starting}; the last try came to nothing: {why}")),
            None => Verdict::silent(Answer::Starting, starting),
        };
    }
    if !run.is_ours {
        let why = "its Repository has no limit and Pipelines-as-Code gave it no order (annotation \
                   pipelinesascode.tekton.dev/execution-order): somebody else made it wait, such as Kueue, and is to start it";
        return Verdict::silent(Answer::Foreign, why);
    }
    if !run.is_queued {
        let why = "Pipelines-as-Code has not said yet that it is queued (annotation pipelinesascode.tekton.dev/state)";
        return Verdict::plain(Answer::Arriving, why);
    }
    if run.settles.is_some_and(|settles| settles > now) {
        let why = "its place among the runs of its event is still to come (annotation \
                   pipelinesascode.tekton.dev/execution-order); without one it is queued by what is known in a few seconds";
        return Verdict::plain(Answer::PlaceToCome, why);
    }
    if run.awaits_secret_until.is_some_and(|until| until > now) && line.ahead == 0 {
        let why = "it is next, and Pipelines-as-Code is still to make the Secret with which it clones its Git repository \
                   (annotation pipelinesascode.tekton.dev/secret-created); without it, it is started a few seconds later";
        return Verdict::plain(Answer::Waiting, why);
    }
    let ahead = match line.ahead {
        0 => "it is next".to_owned(),
        1 => "one run is before it".to_owned(),
        many => format!("{many} runs are before it"),
    };
    let is_one = matches!(limit, Limit::AtMost(most) if most.get() == 1);
    let taken = match line.holders.len() {
        0 => "of which none is taken".to_owned(),
        1 if is_one => "which is taken".to_owned(),
        1 => "of which one is taken".to_owned(),
        many => format!("of which {many} are taken"),
    };
    let slots = if is_one { "the one slot".to_owned() } else { format!("one of {limit} slots") };
    let notice = format!("it waits for {slots} of its Repository");
    Verdict::told_apart(Answer::Waiting, format!("it waits for {slots}, {taken}; {ahead}"), notice)
}

fn running(run: &ShownRun, line: Line<'_>) -> Verdict {
    let slot = line.holders.iter().find(|slot| slot.run == run.entry.run.path());
    let why = match slot.map(|slot| (&slot.holder, slot.since)) {
        Some((Some(holder), Some(since))) => format!("it runs; {} gave it its slot at {since}", watcher(holder)),
        Some((Some(holder), None)) => format!("it runs, in a slot of {}", watcher(holder)),
        _ => "it runs, without a slot".to_owned(),
    };
    Verdict::silent(Answer::Running, why)
}

fn done(state: FinalState) -> &'static str {
    match state {
        FinalState::Completed => "it is done and succeeded",
        FinalState::Failed => "it is done; it failed or was cancelled",
    }
}

fn api_server_unreachable(why: &str) -> Verdict {
    let why = format!("the API server can't be reached, so nobody is started: {why}");
    Verdict::silent(Answer::ApiServerUnreachable, why)
}

// === impl Verdict ===

impl Verdict {
    /// One that is the same for everybody.
    fn plain(answer: Answer, because: impl Into<String>) -> Self {
        let because = because.into();
        Self { answer, notice: Some(because.clone()), because }
    }

    /// One of which a run itself says less.
    fn told_apart(answer: Answer, because: String, notice: impl Into<String>) -> Self {
        Self { answer, because, notice: Some(notice.into()) }
    }

    /// One of which a run itself says nothing.
    fn silent(answer: Answer, because: impl Into<String>) -> Self {
        Self { answer, because: because.into(), notice: None }
    }
}
