//! The cluster as one store: calls go to one member until it fails, then to whichever answers first.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::Error;
use futures::stream::{FuturesUnordered, StreamExt};
use pac_concurrency::{Connections, DriverError, Fault, Waiters};
use pac_config::EtcdSettings;
use tokio::time::timeout;
use tracing::info;

use crate::connect::Session;
use crate::error::{CallStage, Failure, none_reached};

/// How long a member has to answer one request.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// All members, and the session calls go through.
pub(crate) struct Cluster {
    settings: EtcdSettings,
    state: Mutex<State>,
    /// Held by the one who connects; others wait for what comes of it.
    connecting: tokio::sync::Mutex<()>,
    /// How many calls wait for a connection.
    waiters: Waiters,
    /// Whether the last write was refused: reading alone doesn't show that.
    write_refused: AtomicBool,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    /// How often connecting failed, and what it said the last time.
    failures: u64,
    last_failure: Option<(bool, String)>,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn new(settings: EtcdSettings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            waiters: Waiters::default(),
            write_refused: AtomicBool::default(),
        }
    }

    /// Whether the last write was refused, for want of a right most likely.
    pub(crate) fn was_write_refused(&self) -> bool {
        self.write_refused.load(Ordering::Relaxed)
    }

    /// Reads: what `call` asks for changes nothing, and may be asked of another member if one fails.
    pub(crate) async fn read<T, F>(&self, call: impl Fn(Arc<Session>) -> F + Send + Sync) -> Result<T, DriverError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        self.call(CallStage::Reading, call).await
    }

    /// Writes: asked a second time only if the first certainly did nothing.
    pub(crate) async fn write<T, F>(&self, call: impl Fn(Arc<Session>) -> F + Send + Sync) -> Result<T, DriverError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let written = self.call(CallStage::Writing, call).await;
        self.write_refused.store(matches!(written, Err(DriverError::Rejected(_))), Ordering::Relaxed);
        written
    }

    async fn call<T, F>(
        &self,
        stage: CallStage,
        call: impl Fn(Arc<Session>) -> F + Send + Sync,
    ) -> Result<T, DriverError>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let mut again = true;
        loop {
            let session = self.session().await?;
            let failure = match timeout(REQUEST_TIMEOUT, call(Arc::clone(&session))).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => session.explain(stage, error),
                Err(_) => session.member.silent(stage, REQUEST_TIMEOUT),
            };
            let may_repeat = failure.ends_session && matches!(failure.error, DriverError::Unavailable(_));
            self.note(&session, &failure);
            if !(again && may_repeat) {
                return Err(failure.error);
            }
            again = false;
        }
    }

    /// That a call through `session` failed: others need not find that out for themselves.
    pub(crate) fn note(&self, session: &Arc<Session>, failure: &Failure) {
        let mut state = self.state();
        if failure.ends_session && state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            info!(member = %session.member.address, why = failure.error.reason(), "etcd session ended");
            state.session = None;
        }
    }

    /// The one connection that all calls share, if it is open, and who waits for it to be.
    pub(crate) fn connections(&self) -> Connections {
        let in_use = u32::from(self.state().session.is_some());
        Connections { most: 1, in_use, idle: 0, waiting: self.waiters.count() }
    }

    /// A session with a member that answers.
    pub(crate) async fn session(&self) -> Result<Arc<Session>, DriverError> {
        let failures = {
            let state = self.state();
            if let Some(session) = &state.session {
                return Ok(Arc::clone(session));
            }
            state.failures
        };
        let _waiter = self.waiters.enter();
        let _one_at_a_time = self.connecting.lock().await;
        {
            let state = self.state();
            if let Some(session) = &state.session {
                return Ok(Arc::clone(session));
            }
            // Whoever waited for another's attempt has its answer.
            if let Some((rejected, what)) = state.last_failure.as_ref().filter(|_| state.failures != failures) {
                let fault = Fault::new(what.clone());
                return Err(if *rejected { DriverError::Rejected(fault) } else { DriverError::Unavailable(fault) });
            }
        }
        let opened = self.open_any().await;
        let mut state = self.state();
        match opened {
            Ok(session) => {
                info!(member = %session.member.address, "etcd session opened");
                let session = Arc::new(session);
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(error) => {
                state.failures += 1;
                state.last_failure = Some((matches!(error, DriverError::Rejected(_)), error.reason().to_owned()));
                Err(error)
            }
        }
    }

    /// All members are asked at once, so that those that are away cost no time.
    async fn open_any(&self) -> Result<Session, DriverError> {
        let endpoints = self.settings.endpoints.iter();
        let mut opening: FuturesUnordered<_> =
            endpoints.map(|endpoint| Session::open(&self.settings, endpoint)).collect();
        let mut failures = Vec::new();
        while let Some(opened) = opening.next().await {
            match opened {
                Ok(session) => return Ok(session),
                Err(error) => failures.push(error),
            }
        }
        Err(none_reached(failures))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<String> = self.settings.endpoints.iter().map(ToString::to_string).collect();
        f.debug_struct("Cluster").field("endpoints", &endpoints).finish_non_exhaustive()
    }
}
