//! How a watcher reaches a store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt};
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Fault as Why, HistoryStore, Holder, LegacySource,
    Renewal, Repositories, RepositoryKey, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use rand::Rng;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::BroadcastStream;

use super::records::Records;
use super::{News, StoreServer};
use crate::trace::Trace;
use crate::way::Way;
use crate::weather::{Fault, Side, Weather, usual_delay};

/// Longest time that what came too late takes after its caller has given up.
const TOO_LATE: Duration = Duration::from_secs(2);

/// A driver on a [`StoreServer`], whose connections go one watcher's way.
#[derive(Debug, Clone)]
pub(crate) struct StoreDriver {
    server: Arc<StoreServer>,
    way: Arc<Way>,
    weather: Arc<Weather>,
    trace: Trace,
    origin: u64,
}

/// Whether a call may change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    None,
    /// It makes a state of its own, which a standby may miss.
    Commit,
    Lease,
}

// === impl StoreDriver ===

impl StoreDriver {
    pub(crate) const CAPABILITIES: Capabilities = Capabilities { durable: true, shared: true };

    pub(crate) fn new(server: &Arc<StoreServer>, way: Arc<Way>, weather: Arc<Weather>, trace: Trace) -> Self {
        Self { server: Arc::clone(server), way, weather, trace, origin: server.new_origin() }
    }

    /// Whether the server can be reached.
    pub(crate) async fn reached(&self) -> Result<(), DriverError> {
        self.call("connect", Effect::None, |_| Ok(())).await
    }

    /// Has the server carry out `call`, and brings its answer.
    async fn call<T: Send + 'static>(
        &self,
        what: &str,
        effect: Effect,
        call: impl FnOnce(&mut Records) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        self.way.while_open(self.send(what, effect, call)).await
    }

    async fn send<T: Send + 'static>(
        &self,
        what: &str,
        effect: Effect,
        call: impl FnOnce(&mut Records) -> Result<T, DriverError> + Send + 'static,
    ) -> Result<T, DriverError> {
        self.way.held().await;
        let (epoch, fault) = (self.server.epoch(), self.weather.strike(Side::Store, self.way.number, false));
        let what = format!("{} {} {what}", self.way.identity, self.server.name);
        if !self.server.is_there(epoch) {
            return Err(DriverError::Unavailable(Why::new(format!("{} is away", self.server.name))));
        }
        if let Some(Fault::Refused(_)) = fault {
            self.trace.tell(&format!("{what} refused"));
            return Err(DriverError::Unavailable(Why::new("too many clients already")));
        }
        let (answer, answered) = oneshot::channel();
        let (this, told) = (self.clone(), what.clone());
        // It goes on if nobody waits any more.
        tokio::spawn(async move {
            // Whoever gave up hears nothing of it.
            if let Some(done) = this.carry_out(told, epoch, fault, effect, call).await {
                let _ = answer.send(done);
            }
        });
        let answered = timeout(self.server.deadline, answered).await;
        self.way.held().await;
        match answered {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(lost(effect, "the connection broke")),
            Err(_) => Err(lost(effect, "there was no answer in time")),
        }
    }

    /// The answer; none if the connection breaks before it comes.
    async fn carry_out<T>(
        &self,
        what: String,
        epoch: u64,
        fault: Option<Fault>,
        effect: Effect,
        call: impl FnOnce(&mut Records) -> Result<T, DriverError>,
    ) -> Option<Result<T, DriverError>> {
        sleep(usual_delay()).await;
        match fault {
            Some(Fault::LostBefore) => {
                self.trace.tell(&format!("{what} lost"));
                return None;
            }
            Some(Fault::SilentBefore) => {
                self.trace.tell(&format!("{what} swallowed"));
                return std::future::pending().await;
            }
            Some(Fault::Late(after)) => sleep(Duration::from_millis(after.into())).await,
            Some(Fault::TooLate) => sleep(self.server.deadline + TOO_LATE / 2).await,
            _ => {}
        }
        if !self.server.is_there(epoch) {
            self.trace.tell(&format!("{what} sent to a server that is gone"));
            return None;
        }
        let done = self.server.carry_out(effect == Effect::Commit, call);
        match fault {
            None => self.trace.tell(&what),
            Some(fault) => self.trace.tell(&format!("{what} {fault:?}")),
        }
        match fault {
            Some(Fault::LostAfter | Fault::TooLate) => return None,
            Some(Fault::SilentAfter) => return std::future::pending().await,
            Some(Fault::LateAnswer(after)) => sleep(Duration::from_millis(after.into())).await,
            _ => sleep(usual_delay()).await,
        }
        self.server.is_there(epoch).then_some(done)
    }
}

// === impl StoreServer ===

impl StoreServer {
    fn carry_out<T>(
        &self,
        is_commit: bool,
        call: impl FnOnce(&mut Records) -> Result<T, DriverError>,
    ) -> Result<T, DriverError> {
        let mut state = self.state.lock();
        let before = is_commit.then(|| state.records.clone());
        let done = call(&mut state.records)?;
        if let Some(before) = before {
            state.note_commit(before);
        }
        Ok(done)
    }
}

#[async_trait]
impl Driver for StoreDriver {
    fn name(&self) -> &'static str {
        self.server.name
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn lease_ttl(&self) -> Duration {
        self.server.lease_ttl
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        let (of, what) = (repository.clone(), format!("load {repository}"));
        let load = move |records: &mut Records| Ok(records.load(&of, window, StoreServer::now()));
        self.call(&what, Effect::None, load).await
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let (of, holder, delta, server) = (repository.clone(), holder.clone(), delta.clone(), Arc::clone(&self.server));
        let (origin, what) = (self.origin, format!("commit {repository} at {} {delta:?}", expected.number()));
        let way = Arc::clone(&self.way);
        if let Some(witness) = &self.server.witness
            && self.server.state.lock().records.has_run_out(&holder, StoreServer::now())
        {
            witness.without_lease(&what);
        }
        let commit = move |records: &mut Records| {
            let before = records.of(&of);
            let version = records.commit(&of, expected, &holder, &delta)?;
            if let Some(witness) = &server.witness {
                witness.committed(&way.identity, &of, &before, &records.of(&of), &delta);
            }
            server.tell(News::Changed { by: origin, repository: of });
            Ok(version)
        };
        self.call(&what, Effect::Commit, commit).await
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        let (holder, ttl) = (holder.clone(), self.server.lease_ttl);
        let begin = move |records: &mut Records| {
            records.begin(&holder, StoreServer::now() + ttl);
            Ok(())
        };
        self.call("begin", Effect::Lease, begin).await
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        let (holder, ttl) = (holder.clone(), self.server.lease_ttl);
        let renew = move |records: &mut Records| Ok(records.renew(&holder, StoreServer::now(), ttl));
        self.call("renew", Effect::Lease, renew).await
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        let holder = holder.clone();
        let end = move |records: &mut Records| {
            records.end(&holder);
            Ok(())
        };
        self.call("end", Effect::Lease, end).await
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        self.call("holders", Effect::None, |records| Ok(records.holders(StoreServer::now()))).await
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        let list = |records: &mut Records| Ok(Repositories { keys: records.repositories(), corrupt: Vec::new() });
        self.call("repositories", Effect::None, list).await
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        let (of, server, origin) = (repository.clone(), Arc::clone(&self.server), self.origin);
        let forget = move |records: &mut Records| {
            records.forget(&of, expected)?;
            server.tell(News::Changed { by: origin, repository: of });
            Ok(())
        };
        self.call(&format!("forget {repository}"), Effect::Commit, forget).await
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        let (own, way) = (self.origin, Arc::clone(&self.way));
        let heard = BroadcastStream::new(self.server.changes.subscribe()).filter_map(move |heard| {
            let event = match heard {
                Ok(News::Changed { by, .. }) if by == own => None,
                Ok(News::Changed { repository, .. }) => Some(StoreEvent::Repository(repository)),
                Ok(News::Gap) | Err(_) => Some(StoreEvent::Resync),
            };
            std::future::ready(event)
        });
        let travelled = heard.then(move |event| {
            let way = Arc::clone(&way);
            async move {
                // Who hears nothing any more has to connect again, and learns by that what he missed.
                let again = if event == StoreEvent::Resync { rand::rng().random_range(0..2_000) } else { 0 };
                let travels = usual_delay() + Duration::from_millis(again);
                way.while_open(async {
                    sleep(travels).await;
                    way.held().await;
                })
                .await;
                event
            }
        });
        // It never ends, not even when the server does.
        travelled.chain(futures::stream::pending()).boxed()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        let info = ServerInfo { server: "a simulated server".to_owned(), address: self.server.name.to_owned() };
        self.call("check", Effect::None, move |_| Ok(info)).await
    }

    fn connections(&self) -> Option<Connections> {
        None
    }

    fn condition(&self) -> Condition {
        Condition::default()
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        Some(self)
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        None
    }
}

#[async_trait]
impl HistoryStore for StoreDriver {
    async fn write(&self, repository: &RepositoryKey, history: &str) -> Result<(), DriverError> {
        let (of, history) = (repository.clone(), history.to_owned());
        let write = move |records: &mut Records| {
            records.write_history(&of, history);
            Ok(())
        };
        self.call("write history", Effect::Lease, write).await
    }

    async fn read(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
        let of = repository.clone();
        self.call("read history", Effect::None, move |records| Ok(records.history(&of))).await
    }
}

/// What a call comes to whose answer doesn't come.
fn lost(effect: Effect, why: &str) -> DriverError {
    let why = Why::new(why);
    if effect == Effect::None { DriverError::Unavailable(why) } else { DriverError::Indeterminate(why) }
}
