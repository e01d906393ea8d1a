//! What the manager counts.

use pac_metrics::{catalogue, per_repository};
use tokio::time::Instant;

use crate::error::DriverError;
use crate::key::RepositoryKey;
use crate::plan::Plan;

pub(crate) fn committed(repository: &RepositoryKey, plan: &Plan) {
    let count = |metric, runs: usize| per_repository::count(metric, named(repository), &[], runs as u64);
    count(&catalogue::ADMISSIONS, plan.granted.len());
    count(&catalogue::ADOPTIONS, plan.adopted.len());
    catalogue::CLAIMS.count(&[], plan.claimed.len() as u64);
    catalogue::GIVEN_BACK.count(&[], plan.given_back.len() as u64);
}

pub(crate) fn limit_reached(repository: &RepositoryKey) {
    per_repository::count(&catalogue::LIMIT_REACHED, named(repository), &[], 1);
}

pub(crate) fn conflict() {
    catalogue::CONFLICTS.count(&[], 1);
}

pub(crate) fn lease_lost() {
    catalogue::LEASE_LOSSES.count(&[], 1);
}

/// A call of a driver under way.
pub(crate) struct DriverCall {
    driver: &'static str,
    operation: &'static str,
    began: Instant,
    /// What it came to. Until that is known, what dropping it would come to.
    outcome: &'static str,
}

// === impl DriverCall ===

impl DriverCall {
    pub(crate) fn begin(driver: &'static str, operation: &'static str) -> Self {
        Self { driver, operation, began: Instant::now(), outcome: "indeterminate" }
    }

    pub(crate) fn end<T>(mut self, outcome: &Result<T, DriverError>) {
        self.outcome = outcome.as_ref().map_or_else(DriverError::kind, |_| "ok");
    }
}

impl Drop for DriverCall {
    fn drop(&mut self) {
        catalogue::DRIVER_CALL.observe(&[self.driver, self.operation, self.outcome], self.began.elapsed());
    }
}

fn named(repository: &RepositoryKey) -> (&str, &str) {
    (repository.namespace(), repository.name())
}
