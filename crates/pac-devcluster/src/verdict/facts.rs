//! What one version of a PipelineRun says, in the words of the promises.

use serde_json::Value;

use crate::{condition::succeeded, object};

const STATE: &str = "pipelinesascode.tekton.dev/state";
const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
const WEBHOOK: [&str; 3] = [
    "pipelinesascode.tekton.dev/sha",
    "pipelinesascode.tekton.dev/event-type",
    "pipelinesascode.tekton.dev/pull-request",
];
const SECRET: &str = "pipelinesascode.tekton.dev/git-auth-secret";
const SECRET_CREATED: &str = "pipelinesascode.tekton.dev/secret-created";
const START_REPORTED: &str = "pipelinesascode.tekton.dev/scm-reporting-plr-started";
const RELEASED: &str = "concurrency.pipelinesascode.tekton.dev/released";
const EXECUTION_ORDER: [&str; 2] =
    ["pipelinesascode.tekton.dev/execution-order", "concurrency.pipelinesascode.tekton.dev/execution-order"];
const WISHES: [&str; 3] = ["Cancelled", "CancelledRunFinally", "StoppedRunFinally"];

/// One version of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The Repository it names, by the annotation; a label may be shortened.
    pub(crate) repository: Option<String>,
    pub(crate) pending: bool,
    /// The annotation says that it's queued.
    pub(crate) queued: bool,
    /// What a user wishes for it in `spec.status`: to be cancelled or stopped.
    pub(crate) wish: Option<String>,
    pub(crate) done: bool,
    pub(crate) started_time: bool,
    pub(crate) deleting: bool,
    pub(crate) created: i64,
    /// An operator let its slot go to others.
    pub(crate) released: bool,
    /// The whole execution-order annotation, if it can be used.
    pub(crate) event: Option<Event>,
    /// Commit, kind of event and pull request: what tells the runs of one event before they have their order.
    pub(crate) webhook: Option<Webhook>,
    /// The Secret that PAC has yet to make for it, as far as this version says.
    pub(crate) awaited_secret: Option<String>,
    /// PAC says that it told the Git provider of its start. PAC's own queue writes that with the start itself.
    pub(crate) start_reported: bool,
}

/// What all runs of a webhook event have in common.
pub(crate) type Webhook = [Option<String>; 3];

/// The place in a webhook event's list of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) list: String,
    /// The names of the runs in it.
    pub(crate) names: Vec<String>,
    pub(crate) position: usize,
}

// === impl Facts ===

impl Facts {
    pub(crate) fn read(run: &Value) -> Self {
        let status = object::text_at(run, "/spec/status");
        let (namespace, name) = (object::namespace(run), object::name(run));
        let order = EXECUTION_ORDER.into_iter().find_map(|key| object::annotation(run, key));
        let created = object::meta_text(run, "creationTimestamp").parse::<jiff::Timestamp>();
        Self {
            repository: object::annotation(run, REPOSITORY).map(str::to_owned),
            pending: status == Some("PipelineRunPending"),
            queued: object::annotation(run, STATE) == Some("queued"),
            wish: status.filter(|status| WISHES.contains(status)).map(str::to_owned),
            done: matches!(succeeded(run), Some("True" | "False")),
            started_time: run.pointer("/status/startTime").is_some(),
            deleting: object::meta(run, "deletionTimestamp").is_some(),
            created: created.map(jiff::Timestamp::as_second).unwrap_or_default(),
            released: object::annotation(run, RELEASED).is_some_and(|uid| uid == object::meta_text(run, "uid")),
            event: order.and_then(|list| Event::read(list, namespace, name)),
            webhook: webhook(run),
            awaited_secret: awaited_secret(run),
            start_reported: object::annotation(run, START_REPORTED) == Some("true"),
        }
    }

    /// Whether its place is known: by the order of its event, or by what tells its event from others.
    pub(crate) fn is_placed(&self) -> bool {
        self.event.is_some() || self.webhook.is_some()
    }

    /// In the queue.
    pub(crate) fn waiting(&self) -> bool {
        self.pending && self.queued && !self.deleting && !self.done
    }

    /// Taking a slot, unless a user cancelled it before it ever ran: only what happened before tells that.
    pub(crate) fn running(&self, ran_before: bool) -> bool {
        let cancelled_before = self.wish.is_some() && !ran_before && !self.started_time;
        !self.pending && !self.done && !cancelled_before && !self.released
    }
}

// === impl Event ===

impl Event {
    /// A malformed list, or one that names another namespace or not the run itself, orders nothing.
    fn read(list: &str, namespace: &str, name: &str) -> Option<Self> {
        let entry = |entry: &str| {
            let (own, name) = entry.trim().split_once('/')?;
            (own == namespace && !name.is_empty() && !name.contains('/')).then(|| name.to_owned())
        };
        let names: Vec<String> = list.split(',').map(entry).collect::<Option<_>>()?;
        let position = names.iter().position(|listed| listed == name)?;
        Some(Self { list: list.to_owned(), names, position })
    }

    pub(crate) fn position_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|listed| listed == name)
    }
}

fn webhook(run: &Value) -> Option<Webhook> {
    let webhook = WEBHOOK.map(|key| object::annotation(run, key).map(str::to_owned));
    (webhook[0].is_some() && webhook[1].is_some()).then_some(webhook)
}

fn awaited_secret(run: &Value) -> Option<String> {
    let is_awaited = object::annotation(run, SECRET_CREATED) == Some("false");
    object::annotation(run, SECRET).filter(|_| is_awaited).map(str::to_owned)
}
