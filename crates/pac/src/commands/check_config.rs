//! `pac-watcher check-config`.
#![allow(clippy::print_stdout, reason = "the report is what the command is for")]

use std::process::ExitCode;

use pac_concurrency::Schema;
use pac_config::{Resolved, problems_report, report};
use pac_watcher::reload::SettingsSource;

use super::settings_place;
use crate::cli::CheckConfig;
use crate::driver::Drivers;
use crate::logging;

/// Prints what the settings come to. 0: they can be used (and, with `--connect`, the server can); 1: the cluster or the
/// server can't be reached; 2: they can't be used.
pub(crate) async fn check_config(check: &CheckConfig) -> ExitCode {
    if let Err(why) = logging::start(&check.place) {
        eprintln!("error: {why}");
        return ExitCode::from(2);
    }
    let source = match SettingsSource::at(&settings_place(&check.place)).await {
        Ok(source) => source,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let resolved = match source.read().await {
        Ok(Ok(resolved)) => resolved,
        Ok(Err(problems)) => {
            print!("{}", problems_report(&problems));
            return ExitCode::from(2);
        }
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", report(&resolved));
    if check.connect { try_server(&resolved).await } else { ExitCode::SUCCESS }
}

/// Looks at the server, and changes nothing there.
async fn try_server(resolved: &Resolved) -> ExitCode {
    println!();
    let (inspection, driver) = match Drivers::inspect(&resolved.settings.driver).await {
        Ok(inspected) => inspected,
        Err(error) => {
            println!("not connected: {}", pac_watcher::error::with_causes(&error));
            return ExitCode::FAILURE;
        }
    };
    println!("connected: {} at {} ({})", driver.name(), inspection.server.address, inspection.server.server);
    if inspection.schema != Schema::Unneeded {
        println!("a watcher: {}", inspection.schema);
    }
    match inspection.cannot_write {
        None => ExitCode::SUCCESS,
        Some(why) => {
            println!("can't write: {why}");
            ExitCode::FAILURE
        }
    }
}
