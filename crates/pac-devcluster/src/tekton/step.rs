//! What Tekton does next with a run.

use std::time::Duration;

use serde_json::Value;

use super::{Outcome, TektonPlayer, duration::parse_duration};
use crate::{
    condition::{condition, succeeded},
    object,
};

const DURATION: &str = "devcluster/duration";
const FINALLY: &str = "devcluster/finally";
const OUTCOME: &str = "devcluster/outcome";
/// What Tekton itself writes into `spec.managedBy`, if anything.
const TEKTON: &str = "tekton.dev/pipeline";
const PENDING: &str = "PipelineRunPending";

/// One status that Tekton writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// It is pending.
    Pend,
    /// It was cancelled, and is done.
    Cancel,
    /// It starts.
    Start,
    /// Its pipeline is asked for.
    Resolve,
    /// Its volume claim is asked for.
    Claim,
    /// Its tasks run.
    Run,
    /// No more of its tasks are begun, and its `finally` tasks run: a user wished so.
    Stop,
    /// Its tasks are done.
    EndTasks,
    /// Its tasks took longer than they may.
    TimeOutTasks,
    /// It took longer than it may.
    TimeOut,
    /// All is done.
    End,
}

/// What a run's spec and annotations make of it.
pub(super) struct Course<'a> {
    run: &'a Value,
    settings: &'a TektonPlayer,
}

// === impl Course ===

impl<'a> Course<'a> {
    pub(super) fn new(run: &'a Value, settings: &'a TektonPlayer) -> Self {
        Self { run, settings }
    }

    /// The next status, and how long after the present one it comes.
    pub(super) fn next(&self) -> Option<(Step, Duration)> {
        let is_strange = object::text_at(self.run, "/spec/managedBy").is_some_and(|manager| manager != TEKTON);
        let is_deleted = object::meta(self.run, "deletionTimestamp").is_some();
        // What it can't make sense of never reaches it: its informer decodes runs before anyone sees them.
        let is_garbled = self.run.pointer("/status/conditions").is_some_and(|conditions| !conditions.is_array());
        if is_strange || is_deleted || is_garbled || matches!(succeeded(self.run), Some("True" | "False")) {
            return None;
        }
        let at_once = self.settings.start_delay;
        let wish = object::text_at(self.run, "/spec/status").unwrap_or_default();
        match wish {
            PENDING if self.has_started() || self.reason() == PENDING => return None,
            PENDING => return Some((Step::Pend, at_once)),
            _ if self.settings.pending_only => return None,
            "Cancelled" => return Some((Step::Cancel, at_once)),
            "CancelledRunFinally" | "StoppedRunFinally" if !self.reason().ends_with("RunningFinally") => {
                return Some((Step::Stop, at_once));
            }
            _ if !self.has_started() => return Some((Step::Start, at_once)),
            _ => {}
        }
        let is_stopping_tasks = wish != "CancelledRunFinally" && self.run.pointer("/status/finallyStartTime").is_none();
        Some(match self.reason() {
            "Started" if self.is_elsewhere() => (Step::Resolve, Duration::ZERO),
            "Started" if self.waits_for_a_claim() => (Step::Claim, Duration::ZERO),
            "Started" => (Step::Run, Duration::ZERO),
            "ResolvingPipelineRef" if self.waits_for_a_claim() => (Step::Claim, self.settings.resolve_delay),
            "ResolvingPipelineRef" => (Step::Run, self.settings.resolve_delay),
            PENDING => (Step::Run, self.settings.claim_delay),
            _ if is_stopping_tasks => self.end_of_tasks(),
            _ if self.has_finally() => (Step::End, self.finally_duration()),
            // Tasks that were cancelled are soon gone.
            _ => (Step::End, at_once),
        })
    }

    /// Whether its tasks fail.
    pub(super) fn fails(&self) -> bool {
        match object::annotation(self.run, OUTCOME) {
            Some(outcome) => outcome == "fail",
            None => self.settings.outcome == Outcome::Fail,
        }
    }

    /// How many tasks it has; one, where the pipeline is elsewhere.
    pub(super) fn tasks(&self) -> usize {
        self.list("tasks").map_or(1, Vec::len)
    }

    /// How many `finally` tasks it has.
    pub(super) fn finally_tasks(&self) -> usize {
        self.list("finally").map_or_else(|| usize::from(object::annotation(self.run, FINALLY).is_some()), Vec::len)
    }

    pub(super) fn has_finally(&self) -> bool {
        self.finally_tasks() > 0
    }

    /// How long it may take in all: an hour, unless it says something else.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout_of("pipeline").unwrap_or(Duration::from_secs(3600))
    }

    /// How long its tasks may take.
    pub(super) fn tasks_timeout(&self) -> Option<Duration> {
        self.timeout_of("tasks").filter(|timeout| !timeout.is_zero())
    }

    /// The Secrets that its workspaces mount, without which its tasks fail.
    pub(super) fn secrets(&self) -> Vec<&'a str> {
        let workspaces = self.run.pointer("/spec/workspaces").and_then(Value::as_array).into_iter().flatten();
        workspaces.filter_map(|workspace| object::text_at(workspace, "/secret/secretName")).collect()
    }

    fn has_started(&self) -> bool {
        self.run.pointer("/status/startTime").is_some()
    }

    fn reason(&self) -> &'a str {
        condition(self.run).and_then(|condition| object::text_at(condition, "/reason")).unwrap_or_default()
    }

    fn is_elsewhere(&self) -> bool {
        self.run.pointer("/spec/pipelineRef/resolver").is_some()
    }

    fn waits_for_a_claim(&self) -> bool {
        let mut workspaces = self.run.pointer("/spec/workspaces").and_then(Value::as_array).into_iter().flatten();
        !self.settings.claim_delay.is_zero()
            && workspaces.any(|workspace| workspace.get("volumeClaimTemplate").is_some())
    }

    fn end_of_tasks(&self) -> (Step, Duration) {
        let own = object::annotation(self.run, DURATION).and_then(parse_duration);
        let mut duration = own.unwrap_or_else(|| self.settings.duration.of(self.run));
        if self.fails() {
            duration *= 1 + self.retries();
        }
        let timeout = Some((Step::TimeOut, self.timeout())).filter(|(_, after)| !after.is_zero());
        let tasks_timeout = self.tasks_timeout().map(|after| (Step::TimeOutTasks, after));
        let ends = [Some((Step::EndTasks, duration)), tasks_timeout, timeout];
        ends.into_iter().flatten().min_by_key(|(_, after)| *after).unwrap_or((Step::EndTasks, duration))
    }

    fn finally_duration(&self) -> Duration {
        let own = object::annotation(self.run, FINALLY).and_then(parse_duration);
        own.unwrap_or(self.settings.finally_duration)
    }

    /// How often a task that fails is tried again, at most.
    fn retries(&self) -> u32 {
        let tasks = self.list("tasks").into_iter().flatten();
        let retries = tasks.filter_map(|task| task.get("retries")?.as_u64()).max().unwrap_or_default();
        u32::try_from(retries).unwrap_or(u32::MAX - 1)
    }

    fn timeout_of(&self, what: &str) -> Option<Duration> {
        parse_duration(object::text_at(self.run, &format!("/spec/timeouts/{what}"))?)
    }

    fn list(&self, what: &str) -> Option<&'a Vec<Value>> {
        let spec = self.run.pointer("/spec/pipelineSpec")?;
        Some(spec.get(what)?.as_array()?).filter(|list| !list.is_empty())
    }
}
