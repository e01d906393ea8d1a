//! The memory driver keeps the contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::Harness;
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
