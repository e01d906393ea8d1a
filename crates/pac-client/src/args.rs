//! What `pac-watcher queue` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use pac_concurrency::RepositoryKey;
use pac_config::parse_duration;

use crate::patience::Patience;

/// Look at the queues, and do what only a person can decide.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Queue {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Switch companion mode on or off in a cluster where runs wait, or say how things stand.
#[derive(Debug, Clone, Args)]
#[command(after_help = SWITCH_HELP)]
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

/// What a watcher in shadow mode has measured of PAC's own queue.
#[derive(Debug, Clone, Args)]
#[command(after_help = SHADOW_HELP)]
pub struct Shadow {
    #[command(subcommand)]
    pub(crate) what: ShadowWhat,
    #[command(flatten)]
    pub(crate) reach: Reach,
    /// How it looks.
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM", global = true)]
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

const AFTER_HELP: &str = "\
Without --admin-url the watcher that leads is found by its Lease and reached through the API server, with your own \
kubeconfig: you need the rights of kubectl port-forward in PAC's namespace (get on pods and on the Lease, create on \
pods/portforward). pause and resume patch the Repository, release patches the PipelineRun; these need the right to, and \
are in the API server's audit log under your name.

Exit codes: 0 done or answered; 1 the watcher or the API server can't be reached, or refused; 2 the command line can't be \
used; 3 there is no such repository or run; 4 not done, since it would do harm or nothing (the message says why).";

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Every repository: its limit, and how many run and wait.
    List,
    /// One repository: who runs, who waits and how long still, and what happened lately.
    Show {
        /// namespace/name
        repository: RepositoryKey,
    },
    /// Why a run is where it is: its place, who is before it, who has the slots; or what else it waits for.
    Explain {
        /// namespace/name of the PipelineRun
        run: RunName,
    },
    /// Take the slot of a run that will never end. The last resort: it may run on beside those that follow.
    Release {
        /// namespace/name of the PipelineRun
        run: RunName,
        /// Why; it is written onto the run and into the log.
        #[arg(long, value_parser = reason)]
        reason: String,
        /// Although it runs: from then on more than the limit may run.
        #[arg(long)]
        force: bool,
    },
    /// Admit none of a repository's runs for a while. Those that run go on.
    Pause {
        /// namespace/name
        repository: RepositoryKey,
        /// Why; whoever waits is shown it.
        #[arg(long, value_parser = reason)]
        reason: String,
        /// For how long, like 90s, 2h or 1h30m [default: until it is resumed].
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        lasts: Option<Duration>,
    },
    /// Admit again after a pause.
    Resume {
        /// namespace/name
        repository: RepositoryKey,
        /// Why; it is kept with what happened.
        #[arg(long, value_parser = reason)]
        reason: Option<String>,
    },
}

/// A PipelineRun's name.
#[derive(Debug, Clone)]
pub(crate) struct RunName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// How the watcher is reached.
#[derive(Debug, Clone, Args)]
pub(crate) struct Reach {
    /// Where the watcher's admin port is, like http://127.0.0.1:8081 [default: through the API server].
    #[arg(long, env = "PAC_WATCHER_ADMIN_URL", value_name = "URL", global = true)]
    pub(crate) admin_url: Option<String>,
    /// PAC's namespace, where the watcher and its Lease are.
    #[arg(long, env = "PAC_WATCHER_NAMESPACE", default_value = "pipelines-as-code", global = true)]
    pub(crate) namespace: String,
    /// The watcher's pod [default: the one that leads, by the Lease].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) pod: Option<String>,
    /// The admin port in the pod [default: the one its arguments say, or 8081].
    #[arg(long, value_name = "PORT", global = true)]
    pub(crate) admin_port: Option<u16>,
    /// A kubeconfig [default: $KUBECONFIG, or ~/.kube/config].
    #[arg(long, env = "PAC_WATCHER_KUBECONFIG", value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use [default: its current one].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// How answers look.
#[derive(Debug, Clone, Args)]
pub(crate) struct Form {
    /// How answers look.
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM", global = true)]
    pub(crate) output: Output,
    /// Ask again every two seconds, until interrupted (list, show and explain); whoever doesn't answer is asked again.
    #[arg(short, long, global = true)]
    pub(crate) watch: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
    Yaml,
}

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

// === impl RunName ===

impl RunName {
    pub(crate) fn path(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl std::str::FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Repositories and runs are named alike; what a run's uid is the watcher knows.
        let key: RepositoryKey = text.parse().map_err(|_| format!("{text:?} is not namespace/name"))?;
        Ok(Self { namespace: key.namespace().to_owned(), name: key.name().to_owned() })
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".to_owned()),
        text if text.eq_ignore_ascii_case("false") => Err("that is no reason".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let lasts = parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 366);
    if bounds.contains(&lasts) { Ok(lasts) } else { Err("a pause lasts from a second to a year".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s").unwrap().as_secs(), 90);
        assert_eq!(duration("2h").unwrap().as_secs(), 7200);
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        assert_eq!(duration("30").unwrap().as_secs(), 30, "as in the settings");
        for text in ["", "-2h", "0s", "2 fortnights", "99999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_reason_says_something() {
        assert!(reason(" ").is_err() && reason("False").is_err());
        assert_eq!(reason(" registry moves ").unwrap(), "registry moves");
    }
}
