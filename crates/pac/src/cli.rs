//! What the command line takes. `pac-watcher --help` is made of this file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use pac_client::patience::Patience;
use pac_config::DriverKind;

use crate::tenants::Tenants;

/// Admits Tekton PipelineRuns of Pipelines-as-Code under their Repository's concurrency_limit.
#[derive(Debug, Parser)]
#[command(name = "pac-watcher", version = pac_client::program::VERSION, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Settings of the concurrency system itself (which driver, which server, its password) are not flags: they come from the \
ConfigMaps and the Secret of PAC's namespace, or with --config from a file. `pac-watcher check-config` shows what they \
come to.

Exit codes: 0 after a stop that was asked for; 1 if it can't run (no cluster, a port is taken); 2 if settings or flags \
can't be used.

Try it without a cluster: cargo xtask demo";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch the cluster and admit PipelineRuns, until stopped.
    Run(Box<Run>),
    /// Show the effective settings and where each came from, or all that is wrong with them (exit code 2).
    CheckConfig(CheckConfig),
    /// Copy slots and queues from one server to another while no watcher works on either.
    ///
    /// Not needed for a watcher that runs: change concurrency-driver in the ConfigMap, and it moves over by itself. Both
    /// servers' settings come from where the watcher's do. What an earlier version left on the old server is compared with
    /// the cluster and moved, too. The old server keeps all it has.
    Migrate(Migrate),
    #[command(flatten)]
    Client(pac_client::Command),
}

/// Where settings and cluster are; the same for every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// PAC's namespace: of the ConfigMap, the Secret, the Lease and the global Repository.
    #[arg(long, visible_alias = "pac-namespace", env = "PAC_WATCHER_NAMESPACE", default_value = "pipelines-as-code")]
    pub(crate) namespace: String,
    /// PAC's ConfigMap; settings in the ConfigMap pac-concurrency beside it win.
    #[arg(long, env = "PAC_WATCHER_CONFIGMAP", default_value = "pipelines-as-code")]
    pub(crate) configmap: String,
    /// The Secret with the passwords.
    #[arg(long, env = "PAC_WATCHER_SECRET", default_value = "pac-concurrency-secret")]
    pub(crate) secret: String,
    /// A YAML file with the settings, in place of ConfigMap and Secret.
    #[arg(long, env = "PAC_WATCHER_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// A kubeconfig [default: the pod's service account, or $KUBECONFIG, or ~/.kube/config].
    #[arg(long, env = "PAC_WATCHER_KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// How the log looks [default: text on a terminal, json elsewhere].
    #[arg(long, env = "PAC_WATCHER_LOG_FORMAT", value_enum)]
    pub(crate) log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as pac=debug, which is for all parts of
    /// this program and for none of the libraries.
    #[arg(long, env = "PAC_WATCHER_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: String,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) place: Place,
    /// Where Prometheus scrapes /metrics. [::] is every address of the pod, those of IPv4 among them.
    #[arg(long, env = "PAC_WATCHER_METRICS_ADDR", default_value = "[::]:9090", value_name = "ADDRESS")]
    pub(crate) metrics_addr: SocketAddr,
    /// Where the kubelet probes /live and /ready.
    #[arg(long, env = "PAC_WATCHER_PROBE_ADDR", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub(crate) probe_addr: SocketAddr,
    /// Where /debug/queue is; keep it on loopback, where kubectl port-forward reaches it.
    #[arg(long, env = "PAC_WATCHER_ADMIN_ADDR", default_value = "127.0.0.1:8081", value_name = "ADDRESS")]
    pub(crate) admin_addr: SocketAddr,
    /// The Repository in PAC's namespace whose limit applies to those that have none.
    #[arg(long, env = "PAC_CONTROLLER_GLOBAL_REPOSITORY", default_value = "pipelines-as-code", value_name = "NAME")]
    pub(crate) global_repository: String,
    /// Who starts PipelineRuns, and who owns their state label to the end.
    #[arg(long, env = "PAC_WATCHER_MODE", value_enum, default_value = "standalone")]
    pub(crate) mode: Mode,
    /// What keeps PAC's own queue out in companion mode: the kind of object that acts on PAC's execution-order annotation.
    #[arg(long, env = "PAC_WATCHER_GATE", value_enum, default_value = "policy")]
    pub(crate) gate: Gate,
    /// Where the API server calls the webhook, with --gate webhook.
    #[arg(long, env = "PAC_WATCHER_WEBHOOK_ADDR", default_value = "[::]:9443", value_name = "ADDRESS")]
    pub(crate) webhook_addr: SocketAddr,
    /// Who this watcher is among others; no two may be the same [default: the pod's name].
    #[arg(long, env = "PAC_WATCHER_IDENTITY", value_name = "NAME")]
    pub(crate) identity: Option<String>,
    /// Whether one of several watchers leads, by a Kubernetes Lease; the memory driver needs it.
    #[arg(
        long,
        env = "PAC_WATCHER_LEADER_ELECT",
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        action = clap::ArgAction::Set,
        value_name = "true|false"
    )]
    pub(crate) leader_elect: bool,
    /// How long, in seconds, the others wait for a leader that was lost; one that is stopped they follow at once.
    #[arg(
        long,
        env = "PAC_WATCHER_LEADER_LEASE",
        default_value_t = 15,
        value_parser = clap::value_parser!(u32).range(5..=300),
        value_name = "SECONDS"
    )]
    pub(crate) leader_lease: u32,
    #[command(flatten)]
    pub(crate) tenants: Tenants,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// Also try to reach the server: what is there, and whether the user may write. Nothing is changed there.
    #[arg(long)]
    pub(crate) connect: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) place: Place,
    #[command(flatten)]
    pub(crate) patience: Patience,
    /// The driver whose server has the slots and queues.
    #[arg(long, value_parser = durable())]
    pub(crate) from: DriverKind,
    /// The driver whose server is to have them.
    #[arg(long, value_parser = durable())]
    pub(crate) to: DriverKind,
    /// Print what would be moved, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Go on although a watcher seems to be at work. Slots it takes meanwhile are missed.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    /// This watcher does both, in place of PAC's own.
    Standalone,
    /// This watcher starts them, PAC's own beside it does the rest.
    Companion,
    /// PAC's own watcher does both; this one writes nothing, needs no settings and no store, and measures what it sees.
    Shadow,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Gate {
    /// A MutatingAdmissionPolicy (Kubernetes 1.36, or a beta) renames it.
    Policy,
    /// A webhook of this watcher (Kubernetes 1.28) renames it.
    Webhook,
    /// A ValidatingAdmissionPolicy (Kubernetes 1.30) refuses it.
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// Takes the names of drivers whose server keeps what it has.
fn durable() -> impl TypedValueParser<Value = DriverKind> {
    let names = PossibleValuesParser::new(DriverKind::DURABLE.map(DriverKind::name));
    names.try_map(|name| DriverKind::named(&name).ok_or("no driver"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_starts_that_was_not_asked_for() {
        let help = Cli::try_parse_from(["pac-watcher"]).unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
        assert!(help.to_string().contains("Usage: pac-watcher <COMMAND>"), "{help}");
        assert!(Cli::try_parse_from(["pac-watcher", "--leader-elect", "false"]).is_err());
        let cli = Cli::parse_from(["pac-watcher", "run", "--leader-elect=false"]);
        assert!(matches!(cli.command, Command::Run(run) if !run.leader_elect));
    }
}
