//! The memory driver keeps the contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::{Harness, exercise};
use pac_driver_mem::MemDriver;

struct InProcess(MemDriver);

#[async_trait]
impl Harness for InProcess {
    async fn driver(&self) -> Arc<dyn Driver> {
        Arc::new(self.0.peer())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_drivers_keep_the_contract() {
    exercise(&InProcess(MemDriver::new(Duration::from_secs(1))), 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_drivers_keep_the_contract() {
    exercise(&InProcess(MemDriver::new(Duration::from_secs(1))), 8).await;
}
