//! Stores that break the contract are found out: drivers on the store in memory with something left out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Fault, HistoryStore, Holder, LegacySource,
    Renewal, Repositories, RepositoryKey, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use pac_driver_mem::MemDriver;
use pac_judge::{Outcomes, Trial};

/// What a driver does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carelessness {
    None,
    /// Whatever version the change was planned for, it commits.
    AnyVersion,
    /// Now and then it says that nothing happened, and it did.
    LostIsNothing,
    /// Now and then it forgets a release.
    Forgets,
    /// Now and then it shows what was there before.
    Stale,
}

#[derive(Debug)]
struct Careless {
    store: MemDriver,
    how: Carelessness,
    calls: AtomicU32,
}

impl Careless {
    /// One call in so many.
    fn now_and_then(&self) -> bool {
        self.calls.fetch_add(1, Ordering::Relaxed) % 20 == 19
    }
}

#[async_trait]
impl Driver for Careless {
    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        let snapshot = self.store.load(repository, window).await?;
        if self.how == Carelessness::Stale && self.now_and_then() {
            // Others may change it meanwhile.
            tokio::task::yield_now().await;
            let late = self.store.load(repository, window).await?;
            return Ok(Snapshot { version: late.version, ..snapshot });
        }
        Ok(snapshot)
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        let mut delta = delta.clone();
        match self.how {
            Carelessness::AnyVersion => loop {
                let version = self.store.load(repository, Window::Whole).await?.version;
                match self.store.commit(repository, version, holder, &delta).await {
                    Err(DriverError::Conflict) => {}
                    committed => return committed,
                }
            },
            Carelessness::Forgets if self.now_and_then() => delta.release.clear(),
            _ => {}
        }
        let committed = self.store.commit(repository, expected, holder, &delta).await?;
        match self.how {
            Carelessness::LostIsNothing if self.now_and_then() => Err(DriverError::Unavailable(Fault::new("lost"))),
            _ => Ok(committed),
        }
    }

    fn name(&self) -> &'static str {
        self.store.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    fn lease_ttl(&self) -> Duration {
        self.store.lease_ttl()
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.begin(holder).await
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        self.store.renew(holder).await
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        self.store.end(holder).await
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        self.store.holders().await
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        self.store.repositories().await
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        self.store.forget(repository, expected).await
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        self.store.changes()
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        self.store.check().await
    }

    fn connections(&self) -> Option<Connections> {
        self.store.connections()
    }

    fn condition(&self) -> Condition {
        self.store.condition()
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        self.store.history()
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        self.store.legacy_source()
    }
}

fn outcomes(how: Carelessness) -> Outcomes {
    let store = MemDriver::new(Duration::from_secs(600));
    let driver = |_| Arc::new(Careless { store: store.peer(), how, calls: AtomicU32::new(0) }) as Arc<dyn Driver>;
    let drivers: Vec<Arc<dyn Driver>> = (0..4).map(driver).collect();
    let trial =
        Trial { operations: 5_000, faults: None, clients: 8, repositories: 3, seed: 1, faults_last: Duration::ZERO };
    trial.of_drivers(&drivers).unwrap()
}

fn is_found_out(how: Carelessness) {
    let outcomes = outcomes(how);
    outcomes.judge(usize::MAX).expect_err("it was found linearizable");
}

#[test]
fn a_store_in_memory_is_linearizable() {
    outcomes(Carelessness::None).judge(usize::MAX).unwrap();
}

#[test]
fn one_that_commits_whatever_the_version_is_found_out() {
    is_found_out(Carelessness::AnyVersion);
}

#[test]
fn one_that_says_nothing_happened_when_it_did_is_found_out() {
    is_found_out(Carelessness::LostIsNothing);
}

#[test]
fn one_that_does_half_of_a_change_is_found_out() {
    is_found_out(Carelessness::Forgets);
}

#[test]
fn one_whose_loads_are_of_two_instants_is_found_out() {
    is_found_out(Carelessness::Stale);
}
