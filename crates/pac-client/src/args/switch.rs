//! What `pac-watcher switch` takes.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::reach::Reach;
use super::text::duration;

/// Switch companion mode on or off in a cluster where runs wait, or say how things stand.
#[derive(Debug, Clone, Args)]
#[command(after_help = SWITCH_HELP, mut_arg("pac_namespace", |namespace| namespace.visible_alias("namespace")))]
pub struct Switch {
    /// Where to.
    #[arg(value_enum)]
    pub(crate) direction: Direction,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How long a step may wait for the watcher, or for PipelineRuns that have to be over, like 90s, 2h or 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1h")]
    pub(crate) step_timeout: Duration,
    /// The Repository in PAC's namespace whose limit applies to those that have none.
    #[arg(long, env = "PAC_CONTROLLER_GLOBAL_REPOSITORY", default_value = "pipelines-as-code", value_name = "NAME")]
    pub(crate) global_repository: String,
}

/// Who is to start PipelineRuns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Direction {
    /// Nothing is changed: settings, gate, watcher, and for whom how many runs wait.
    Status,
    /// Our watcher, once PAC's own queue is worked off.
    On,
    /// PAC's own queue, which is given what runs and waits.
    Off,
}

const SWITCH_HELP: &str = "\
It may be broken off at any point and called again, in either direction: no PipelineRun is lost or started twice by that, and the \
limit holds throughout, and PAC's watcher is neither stopped nor restarted. `off` therefore waits until the PipelineRuns that our \
watcher started are done; meanwhile others go on, by way of PAC's own queue.

You need: get and patch on ConfigMap pac-concurrency, get on the gate (an object of admissionregistration.k8s.io called \
pac-concurrency-execution-order), list on pipelineruns and repositories, and \
what `pac-watcher queue` needs to reach the watcher.

Exit codes: 0 done; 1 somebody can't be reached, refused, or took longer than --step-timeout; 2 the command line can't be used; 3 it \
isn't installed; 4 not done, since it would do harm (the message says why).";

// === impl Direction ===

impl Direction {
    /// The way back.
    pub(crate) fn other(self) -> &'static str {
        match self {
            Self::On => "off",
            Self::Off | Self::Status => "on",
        }
    }
}
