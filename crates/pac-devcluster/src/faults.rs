//! Faults on demand: slow or refused requests, answers that never arrive, watches cut, versions expired, an outage.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::store::Store;

/// Which requests go wrong, how, and how often.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// The HTTP method; any if absent.
    #[serde(default)]
    pub method: Option<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`; any if absent.
    #[serde(default)]
    pub verb: Option<String>,
    /// The plural name of the resource; any if absent.
    #[serde(default)]
    pub resource: Option<String>,
    /// The whole name of the object; any if absent.
    #[serde(default)]
    pub name: Option<String>,
    /// A part of the object's name; any if absent.
    #[serde(default)]
    pub name_contains: Option<String>,
    /// Who asks, by the bearer token; anybody if absent.
    #[serde(default)]
    pub caller: Option<String>,
    /// How many requests it strikes; for ever if absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// What happens to them.
    pub action: FaultAction,
}

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultAction {
    /// It's handled, but only after this time; milliseconds in JSON.
    Latency(#[serde(with = "milliseconds")] Duration),
    /// It's refused with a Status, and nothing is applied.
    Error {
        /// The HTTP status, such as 403.
        status: u16,
        /// The reason, such as `Forbidden`.
        reason: String,
        /// The message, such as `admission webhook "x" denied the request`.
        message: String,
    },
    /// The connection is dropped, and nothing is applied.
    DropBefore,
    /// It's applied, but the connection is dropped before the answer.
    DropAfter,
    /// Nothing is applied and nothing is answered, and the connection stays as it is.
    NeverAnswer,
}

/// What `POST /_dev/faults` takes: `"close_watches"`, `{"add": {…}}` and so on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultCommand {
    /// [`Faults::add`]
    Add(FaultRule),
    /// [`Faults::clear`]
    Clear,
    /// [`Faults::close_watches`]
    CloseWatches,
    /// [`Faults::expire_versions`]
    ExpireVersions,
    /// [`Faults::pause_watches`]
    PauseWatches,
    /// [`Faults::resume_watches`]
    ResumeWatches,
    /// [`Faults::tekton_leaves`]
    TektonLeaves,
    /// [`Faults::tekton_returns`]
    TektonReturns,
    /// [`Faults::refuse_connections`] for so many milliseconds: there's no other way back over HTTP.
    RefuseConnectionsFor(u64),
}

/// Names an added rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultId(u64);

/// The switchboard for faults; clones share it.
#[derive(Clone, Debug)]
pub struct Faults {
    store: Store,
    rules: Arc<Mutex<Rules>>,
    control: watch::Sender<Control>,
    struck: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    active: Vec<Active>,
    strikes: Vec<u32>,
}

#[derive(Debug)]
struct Active {
    id: u64,
    rule: FaultRule,
}

/// What connections and watches look at besides their own business.
#[derive(Clone, Debug, Default)]
pub(crate) struct Control {
    pub(crate) paused: bool,
    pub(crate) refused: bool,
    pub(crate) stopped: bool,
    pub(crate) tekton_away: bool,
    /// Counts calls of [`Faults::close_watches`].
    pub(crate) closes: u64,
    /// Counts outages: one may be over before a connection has looked.
    pub(crate) outages: u64,
}

/// A request as rules see it.
#[derive(Debug)]
pub(crate) struct Struck<'a> {
    pub(crate) method: &'a str,
    pub(crate) verb: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) name: &'a str,
    pub(crate) caller: &'a str,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, rules: Arc::default(), control: watch::Sender::default(), struck: watch::Sender::default() }
    }

    /// Adds a rule; the first that matches a request strikes it.
    pub fn add(&self, rule: FaultRule) -> FaultId {
        let mut rules = self.rules.lock();
        let id = rules.next;
        rules.next += 1;
        rules.strikes.push(0);
        rules.active.push(Active { id, rule });
        FaultId(id)
    }

    /// Takes a rule away again.
    pub fn remove(&self, id: FaultId) {
        self.rules.lock().active.retain(|active| active.id != id.0);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.rules.lock().active.clear();
    }

    /// How many requests a rule has struck.
    pub fn strikes(&self, id: FaultId) -> u32 {
        self.rules.lock().strikes.get(usize::try_from(id.0).unwrap_or(usize::MAX)).copied().unwrap_or_default()
    }

    /// Waits until a rule has struck this many requests.
    pub async fn struck(&self, id: FaultId, times: u32) {
        let mut news = self.struck.subscribe();
        // The sender lives in self, so this can't fail.
        let _ = news.wait_for(|_| self.strikes(id) >= times).await;
    }

    /// Ends every open watch, as a server does when its time is up; clients connect again.
    pub fn close_watches(&self) {
        self.control.send_modify(|control| control.closes += 1);
    }

    /// Expires all resourceVersions up to now: watches and continued lists that start at one get 410.
    pub fn expire_versions(&self) {
        self.store.expire_versions();
    }

    /// Holds back the events of all watches.
    pub fn pause_watches(&self) {
        self.control.send_modify(|control| control.paused = true);
    }

    /// Delivers the held-back events, in order, and those to come.
    pub fn resume_watches(&self) {
        self.control.send_modify(|control| control.paused = false);
    }

    /// An outage: open connections are cut, watches too, and new ones are closed at once.
    pub fn refuse_connections(&self) {
        self.control.send_modify(|control| {
            control.refused = true;
            control.outages += 1;
        });
    }

    /// Ends the outage.
    pub fn accept_connections(&self) {
        self.control.send_modify(|control| control.refused = false);
    }

    /// Tekton's controller is away: no run gets a status.
    pub fn tekton_leaves(&self) {
        self.control.send_modify(|control| control.tekton_away = true);
    }

    /// Tekton's controller is back, and does what there is to do.
    pub fn tekton_returns(&self) {
        self.control.send_modify(|control| control.tekton_away = false);
    }

    /// Does what a command says; must run inside a Tokio runtime.
    pub fn execute(&self, command: FaultCommand) {
        match command {
            FaultCommand::Add(rule) => drop(self.add(rule)),
            FaultCommand::Clear => self.clear(),
            FaultCommand::CloseWatches => self.close_watches(),
            FaultCommand::ExpireVersions => self.expire_versions(),
            FaultCommand::PauseWatches => self.pause_watches(),
            FaultCommand::ResumeWatches => self.resume_watches(),
            FaultCommand::TektonLeaves => self.tekton_leaves(),
            FaultCommand::TektonReturns => self.tekton_returns(),
            FaultCommand::RefuseConnectionsFor(milliseconds) => {
                let faults = self.clone();
                faults.refuse_connections();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    faults.accept_connections();
                });
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.control.send_modify(|control| control.stopped = true);
    }

    pub(crate) fn control(&self) -> watch::Receiver<Control> {
        self.control.subscribe()
    }

    /// The fault for this request, counted.
    pub(crate) fn strike(&self, request: &Struck<'_>) -> Option<FaultAction> {
        let mut rules = self.rules.lock();
        let place = rules.active.iter().position(|active| active.rule.matches(request))?;
        let active = &mut rules.active[place];
        let (id, action) = (active.id, active.rule.action.clone());
        if let Some(left) = &mut active.rule.times {
            *left = left.saturating_sub(1);
            if *left == 0 {
                rules.active.remove(place);
            }
        }
        if let Some(count) = usize::try_from(id).ok().and_then(|id| rules.strikes.get_mut(id)) {
            *count += 1;
        }
        drop(rules);
        self.struck.send_modify(|count| *count += 1);
        Some(action)
    }
}

// === impl FaultRule ===

impl FaultRule {
    /// A rule for every request, for ever; narrow it with the other methods.
    pub fn new(action: FaultAction) -> Self {
        Self {
            method: None,
            verb: None,
            resource: None,
            name: None,
            name_contains: None,
            caller: None,
            times: None,
            action,
        }
    }

    /// Only requests of this verb, such as `patch` or `watch`.
    #[must_use]
    pub fn verb(self, verb: &str) -> Self {
        Self { verb: Some(verb.to_owned()), ..self }
    }

    /// Only requests for this resource, by its plural name.
    #[must_use]
    pub fn resource(self, plural: &str) -> Self {
        Self { resource: Some(plural.to_owned()), ..self }
    }

    /// Only requests for this object.
    #[must_use]
    pub fn name(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Only requests with this bearer token.
    #[must_use]
    pub fn caller(self, token: &str) -> Self {
        Self { caller: Some(token.to_owned()), ..self }
    }

    /// Only the next requests.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    fn matches(&self, request: &Struck<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(found))
        };
        is(&self.method, request.method)
            && is(&self.verb, request.verb)
            && is(&self.resource, request.resource)
            && is(&self.name, request.name)
            && is(&self.caller, request.caller)
            && self.name_contains.as_ref().is_none_or(|part| request.name.contains(part.as_str()))
    }
}

mod milliseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
