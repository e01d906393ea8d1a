//! `pac-watcher check-config`.

use std::process::ExitCode;

use pac_client::say;
use pac_concurrency::Schema;
use pac_config::{Resolved, Sources, problems_report, report, resolve};
use pac_kube::error::with_causes;

use super::settings::{self, Files};
use super::{Failure, exit_code, failure};
use crate::cli::CheckConfig;
use crate::driver::Drivers;
use crate::logging;

/// Prints what the settings come to. 0: they can be used (and, with `--connect`, the server can); 1: the cluster or the
/// server can't be reached; 2: they can't be used.
pub(crate) async fn check_config(check: &CheckConfig) -> ExitCode {
    exit_code(try_to_check(check).await)
}

async fn try_to_check(check: &CheckConfig) -> Result<(), Failure> {
    logging::start(&check.place).map_err(|why| (2, why))?;
    let (sources, files) = (settings::read(&check.place, check.patience).await?, Files::new());
    let resolved = match resolve(&sources, &files) {
        Ok(resolved) => resolved,
        Err(problems) => {
            say::print(&(not_there(&sources) + &problems_report(&problems))).map_err(failure)?;
            return Err((2, "the settings can't be used".to_owned()));
        }
    };
    settings::insist_on_any(&sources, &resolved)?;
    say::print(&(not_there(&sources) + &report(&resolved))).map_err(failure)?;
    let namespace = &check.place.namespace;
    match (check.connect, files.missing().first()) {
        (false, _) => Ok(()),
        (true, None) => try_server(&resolved).await,
        (true, Some(file)) => Err(failure(format!(
            "the server was not tried: {} is not on this machine. Ask where the watcher runs: kubectl exec -n {namespace} \
             deployment/pac-concurrency-watcher -- pac-watcher check-config --namespace {namespace} --connect",
            file.display(),
        ))),
    }
}

fn not_there(sources: &Sources) -> String {
    sources.missing().iter().map(|object| format!("There is no {object}.\n")).collect()
}

/// Looks at the server, and changes nothing there.
async fn try_server(resolved: &Resolved) -> Result<(), Failure> {
    let inspected = Drivers::inspect(&resolved.settings.driver).await;
    let (inspection, store) = inspected.map_err(|error| failure(format!("not connected: {}", with_causes(&error))))?;
    let server = &inspection.server;
    let mut text = format!("\nconnected: {} at {} ({})", store.name(), server.address, server.server);
    if inspection.schema != Schema::Unneeded {
        text = format!("{text}\na watcher: {}", inspection.schema);
    }
    say::line(text).map_err(failure)?;
    inspection.cannot_write.map_or(Ok(()), |why| Err(failure(format!("can't write: {why}"))))
}
