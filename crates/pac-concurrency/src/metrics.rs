//! What the manager counts. Names, units and meanings; the watcher exposes them.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::error::DriverError;
use crate::plan::Plan;

const ADMISSIONS: &str = "pac_concurrency_admissions_total";
const ADOPTIONS: &str = "pac_concurrency_adoptions_total";
const CLAIMS: &str = "pac_concurrency_claims_total";
const RELEASES: &str = "pac_concurrency_releases_total";
const GIVEN_BACK: &str = "pac_concurrency_given_back_total";
const LIMIT_REACHED: &str = "pac_concurrency_limit_reached_total";
const DRIVER_CALL: &str = "pac_concurrency_driver_call_seconds";

/// Registers the help texts of this crate's metrics with the recorder in place.
pub fn describe_metrics() {
    describe_counter!(ADMISSIONS, Unit::Count, "Waiting runs that were given a slot.");
    describe_counter!(
        ADOPTIONS,
        Unit::Count,
        "Runs found running without a slot, and given one over the limit or not."
    );
    describe_counter!(CLAIMS, Unit::Count, "Slots taken over from a watcher that is gone or did not act.");
    describe_counter!(RELEASES, Unit::Count, "Slots and queue entries freed because their run was over.");
    describe_counter!(GIVEN_BACK, Unit::Count, "Slots given back because the cluster refused to start their run.");
    describe_counter!(LIMIT_REACHED, Unit::Count, "Times a repository came to have someone waiting for its limit.");
    describe_histogram!(DRIVER_CALL, Unit::Seconds, "Time of calls to the store, by operation and outcome.");
}

pub(crate) fn committed(plan: &Plan) {
    let counts = [
        (ADMISSIONS, plan.granted.len()),
        (ADOPTIONS, plan.adopted.len()),
        (CLAIMS, plan.claimed.len()),
        (RELEASES, plan.released.len()),
        (GIVEN_BACK, plan.given_back.len()),
    ];
    for (name, count) in counts {
        if count > 0 {
            counter!(name).increment(count as u64);
        }
    }
}

pub(crate) fn limit_reached() {
    counter!(LIMIT_REACHED).increment(1);
}

pub(crate) fn driver_call<T>(operation: &'static str, took: Duration, outcome: &Result<T, DriverError>) {
    let outcome = outcome.as_ref().map_or_else(DriverError::kind, |_| "ok");
    histogram!(DRIVER_CALL, "operation" => operation, "outcome" => outcome).record(took);
}
