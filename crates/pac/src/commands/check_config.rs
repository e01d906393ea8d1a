//! `pac-watcher check-config`.

use std::process::ExitCode;

use pac_concurrency::Schema;
use pac_config::{Resolved, problems_report, report};
use pac_watcher::error::with_causes;
use pac_watcher::reload::SettingsSource;

use super::{Failure, exit_code, failure, say, settings_place};
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
    let place = settings_place(&check.place, check.patience.request_timeout);
    let source = SettingsSource::at(&place).await.map_err(failure)?;
    match source.read().await.map_err(failure)? {
        Ok(resolved) => {
            say::print(&report(&resolved)).map_err(failure)?;
            if check.connect { try_server(&resolved).await } else { Ok(()) }
        }
        Err(problems) => {
            say::print(&problems_report(&problems)).map_err(failure)?;
            Err((2, "the settings can't be used".to_owned()))
        }
    }
}

/// Looks at the server, and changes nothing there.
async fn try_server(resolved: &Resolved) -> Result<(), Failure> {
    let inspected = Drivers::inspect(&resolved.settings.driver).await;
    let (inspection, driver) = inspected.map_err(|error| failure(format!("not connected: {}", with_causes(&error))))?;
    let server = &inspection.server;
    let mut text = format!("\nconnected: {} at {} ({})", driver.name(), server.address, server.server);
    if inspection.schema != Schema::Unneeded {
        text = format!("{text}\na watcher: {}", inspection.schema);
    }
    say::line(text).map_err(failure)?;
    inspection.cannot_write.map_or(Ok(()), |why| Err(failure(format!("can't write: {why}"))))
}
