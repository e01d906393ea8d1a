//! The memory driver keeps the contract.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{FutureExt, StreamExt};
use pac_concurrency::conformance::Harness;
use pac_concurrency::{Delta, Driver, Holder, RepositoryKey, StoreEvent, Version};
use pac_driver_mem::MemDriver;

struct InProcess(MemDriver);

// === impl InProcess ===

impl InProcess {
    fn new() -> Self {
        Self(MemDriver::new(Duration::from_secs(1)))
    }
}

#[async_trait]
impl Harness for InProcess {
    async fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.0.peer())
    }
}

mod two_drivers {
    use super::InProcess;

    pac_concurrency::conformance_tests!(InProcess::new(), 2);
}

mod eight_drivers {
    use super::InProcess;

    pac_concurrency::conformance_tests!(InProcess::new(), 8);
}

/// Each driver of one store, the first one among them.
#[tokio::test]
async fn changes_are_those_of_others() {
    let first = MemDriver::new(Duration::from_secs(60));
    let drivers = [first.peer(), first.peer(), first];
    let heard: Vec<_> = drivers.iter().map(Driver::changes).collect();
    let (holder, delta) = (Holder::new("holder"), Delta::default());
    for (number, driver) in drivers.iter().enumerate() {
        let repository = RepositoryKey::new("ns", &format!("of-{number}")).unwrap();
        driver.commit(&repository, Version::NONE, &holder, &delta).await.unwrap();
    }
    for (number, mut heard) in heard.into_iter().enumerate() {
        let mut of_others = Vec::new();
        while let Some(Some(StoreEvent::Repository(repository))) = heard.next().now_or_never() {
            of_others.push(repository.name().to_owned());
        }
        let others = (0..drivers.len()).filter(|other| *other != number).map(|other| format!("of-{other}"));
        assert_eq!(of_others, others.collect::<Vec<_>>(), "{number}");
    }
}
