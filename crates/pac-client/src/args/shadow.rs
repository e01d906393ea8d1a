//! What `pac-watcher shadow` takes.

use clap::{Args, Subcommand};

use super::output::{Output, OutputParser};
use super::reach::Reach;

/// What a watcher in shadow mode has measured of PAC's own queue.
#[derive(Debug, Clone, Args)]
#[command(after_help = SHADOW_HELP, mut_arg("pac_namespace", |namespace| namespace.visible_alias("namespace")))]
pub struct Shadow {
    #[command(subcommand)]
    pub(crate) what: ShadowWhat,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How it looks.
    #[arg(short, long, value_parser = OutputParser, default_value = "table", value_name = "FORM", global = true)]
    pub(crate) output: Output,
}

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum ShadowWhat {
    /// How long PipelineRuns waited and would have waited, slots idle, times over the limit, and what was lost track of.
    Report,
}

const SHADOW_HELP: &str = "\
Without --admin-url or --pod the watcher's pod is found by its label app.kubernetes.io/name=pac-concurrency-shadow: there is no Lease \
in shadow mode. You need the rights of kubectl port-forward in PAC's namespace (get and list on pods, create on pods/portforward).

Exit codes: 0 answered; 1 the watcher or the API server can't be reached; 2 the command line can't be used; 3 the watcher isn't in \
shadow mode.";
