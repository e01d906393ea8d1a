//! What the demo asks beside the Kubernetes API: `/_dev/summary`, `/_dev/verdict`, `/_dev/faults`, `/_dev/pac`.

use http::{Method, StatusCode};
use serde_json::json;

use super::{Call, Reply, Server, respond};
use crate::{
    error::ApiError,
    faults::FaultCommand,
    pac::{Pac, PacCommand},
    verdict::{self, VerdictOptions},
};

// === impl Server ===

impl Server {
    pub(super) fn dev(&self, call: &Call) -> Reply {
        match (&call.method, call.path.as_str()) {
            (&Method::POST, "/_dev/faults") => match serde_json::from_slice::<FaultCommand>(&call.body) {
                Ok(command) => {
                    self.faults.execute(command);
                    respond::json(StatusCode::OK, &json!({ "ok": true }))
                }
                Err(error) => respond::error(&ApiError::bad_request(format!("no such fault: {error}"))),
            },
            (&Method::GET, "/_dev/summary") => {
                let global = &self.options.verdict.global_repository;
                respond::json(StatusCode::OK, &verdict::summary(&self.store, global))
            }
            (&Method::GET, "/_dev/verdict") => {
                let ended_at = Some(self.store.elapsed());
                let options = VerdictOptions { ended_at, ..self.options.verdict.clone() };
                let verdict = verdict::judge(&self.store.history(), &options);
                match serde_json::to_value(&verdict) {
                    Ok(value) => respond::json(StatusCode::OK, &value),
                    Err(error) => respond::error(&ApiError::new(500, "InternalError", error.to_string())),
                }
            }
            _ => respond::text(StatusCode::NOT_FOUND, "404 page not found\n"),
        }
    }
}

/// Has PAC do something, and answers when it is done, with the names of the runs that were made.
pub(super) async fn tell_pac(pac: &Pac, call: &Call) -> Reply {
    match serde_json::from_slice::<PacCommand>(&call.body) {
        Ok(command) => respond::json(StatusCode::OK, &json!({ "runs": pac.execute(command).await })),
        Err(error) => respond::error(&ApiError::bad_request(format!("PAC knows no such command: {error}"))),
    }
}
