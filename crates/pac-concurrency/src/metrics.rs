//! What the manager counts.

use std::time::Duration;

use pac_metrics::{catalogue, per_repository};

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

pub(crate) fn driver_call<T>(
    driver: &'static str,
    operation: &'static str,
    took: Duration,
    outcome: &Result<T, DriverError>,
) {
    let outcome = outcome.as_ref().map_or_else(DriverError::kind, |_| "ok");
    catalogue::DRIVER_CALL.observe(&[driver, operation, outcome], took);
}

fn named(repository: &RepositoryKey) -> (&str, &str) {
    (repository.namespace(), repository.name())
}
