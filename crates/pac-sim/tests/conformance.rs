//! The simulated store keeps the contract, where nothing strikes it.

use std::sync::Arc;

use async_trait::async_trait;
use pac_concurrency::Driver;
use pac_concurrency::conformance::Harness;
use pac_sim::CalmStore;

struct Simulated(CalmStore);

#[async_trait]
impl Harness for Simulated {
    async fn driver(&self) -> Arc<dyn Driver> {
        self.0.driver()
    }
}

mod random_versions {
    use pac_sim::{CalmStore, StoreKind};

    use super::Simulated;

    pac_concurrency::conformance_tests!(Simulated(CalmStore::new(StoreKind::PostgreSql)), 2);
}

mod counted_versions {
    use pac_sim::{CalmStore, StoreKind};

    use super::Simulated;

    pac_concurrency::conformance_tests!(Simulated(CalmStore::new(StoreKind::Etcd)), 3);
}
