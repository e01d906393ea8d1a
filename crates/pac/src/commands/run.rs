//! `pac-watcher run`.

use std::process::ExitCode;
use std::sync::Arc;

use pac_client::say;
use pac_kube::error::with_causes;
use pac_watcher::WatcherError;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::watcher_options;
use crate::cli::Run;
use crate::driver::Drivers;
use crate::logging;

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(run: Run) -> ExitCode {
    if let Err(why) = logging::start(&run.place) {
        say::error(why);
        return ExitCode::from(2);
    }
    let options = match watcher_options(run) {
        Ok(options) => options,
        Err(why) => {
            error!("{why}");
            return ExitCode::from(2);
        }
    };
    let counted = match pac_watcher::telemetry::install_metrics() {
        Ok(counted) => counted,
        Err(error) => {
            error!(%error, "can't count metrics");
            return ExitCode::FAILURE;
        }
    };
    let stop = CancellationToken::new();
    // Registered here and now: a signal that comes later finds it.
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => drop(tokio::spawn(stop_on_signal(terminate, interrupt, stop.clone()))),
        _ => error!("can't hear signals; stop this process with SIGKILL"),
    }
    match pac_watcher::run(options, Arc::new(Drivers), counted, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(WatcherError::Settings(problems)) => {
            error!("the settings can't be used:\n{problems}");
            ExitCode::from(2)
        }
        Err(problem) => {
            error!("{}", with_causes(&problem));
            ExitCode::FAILURE
        }
    }
}

async fn stop_on_signal(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("stopping: admitting nobody, finishing what is in flight");
    stop.cancel();
}
