//! What the subcommands do.

pub(crate) mod check_config;
pub(crate) mod migrate;
pub(crate) mod run;
mod settings;

use std::process::ExitCode;
use std::time::Duration;

use pac_client::say;
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_watcher::{GateKind, Pace, SettingsPlace, WatcherOptions};

use crate::addresses::everywhere;
use crate::cli::{Gate, Mode, Place, Run};

/// The watcher's options as the command line has them.
fn watcher_options(run: Run) -> Result<WatcherOptions, String> {
    Ok(WatcherOptions {
        metrics_addr: everywhere(run.metrics_addr),
        probe_addr: everywhere(run.probe_addr),
        admin_addr: everywhere(run.admin_addr),
        place: settings_place(&run.place, REQUEST_DEADLINE),
        global_repository: run.global_repository,
        mode: match run.mode {
            Mode::Standalone => pac_watcher::Mode::Standalone,
            Mode::Companion => pac_watcher::Mode::Companion,
            Mode::Shadow => pac_watcher::Mode::Shadow,
        },
        gate: match run.gate {
            Gate::Policy => GateKind::Policy,
            Gate::Webhook => GateKind::Webhook,
            Gate::Deny => GateKind::Deny,
        },
        webhook_addr: everywhere(run.webhook_addr),
        tenants: run.tenants.options()?,
        identity: run.identity.unwrap_or_else(default_identity),
        leader_elect: run.leader_elect,
        leader_lease: Duration::from_secs(run.leader_lease.into()),
        pace: Pace::default(),
    })
}

fn settings_place(place: &Place, request_timeout: Duration) -> SettingsPlace {
    SettingsPlace {
        namespace: place.namespace.clone(),
        config_map: place.configmap.clone(),
        secret: place.secret.clone(),
        config_file: place.config.clone(),
        kubeconfig: place.kubeconfig.clone(),
        request_timeout,
    }
}

/// Why a command was not carried out: its exit code, and what is said.
type Failure = (u8, String);

/// A cluster or a server that can't be reached.
fn failure(why: impl ToString) -> Failure {
    (1, why.to_string())
}

fn exit_code(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            say::error(why);
            ExitCode::from(code)
        }
    }
}

/// The pod's name, which Kubernetes makes the host's name too; on a host of its own the process id tells two apart.
fn default_identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty());
    let host = host.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    format!("{}-{}", host.as_deref().map_or("pac-watcher", str::trim), std::process::id())
}
