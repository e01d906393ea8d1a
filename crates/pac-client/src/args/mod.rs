//! What `pac-watcher queue` takes.

pub(crate) mod form;
pub(crate) mod name;
pub(crate) mod output;
pub(crate) mod reach;
pub(crate) mod server;
mod shadow;
mod switch;
mod text;

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

pub(crate) use form::{DryRun, Form, Scope};
pub(crate) use name::Name;
pub(crate) use output::Output;
pub(crate) use reach::Reach;
pub(crate) use server::Server;
pub use shadow::Shadow;
pub(crate) use shadow::ShadowWhat;
pub(crate) use switch::Direction;
pub use switch::Switch;
use text::{duration, reason, timeout};

/// Look at the queues, and do what only a person can decide.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Queue {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) reach: Reach,
    #[command(flatten)]
    pub(crate) server: Server,
}

const AFTER_HELP: &str = "\
Without --admin-url the watcher that leads is found by its Lease and reached through the API server, with your own \
kubeconfig: you need the rights of kubectl port-forward in PAC's namespace (get on pods and on the Lease, create on \
pods/portforward). --selector needs list on what it selects. pause and resume patch the Repository, release patches the PipelineRun; these need the right to, and \
are in the API server's audit log under your name.

Without rights in PAC's namespace, --server asks the port for tenants, where there is one: list, show, explain and wait of the namespaces whose PipelineRuns you may get. Your kubeconfig's token says who you are; it goes over TLS, and to nobody else.

A name without a namespace is one of --namespace, or of the kubeconfig's context. PAC's namespace is --pac-namespace.

-o jsonpath= takes kubectl's templates: {.path[*].to.field}, {range …}{end}, [?(@.field==\"text\")], {\"\\n\"}, and text outside of \
braces; no functions of regular expressions.

Exit codes: 0 done or answered; 1 the watcher or the API server can't be reached, or refused; 2 the command line can't be \
used; 3 there is no such repository or run; 4 not done, since it would do harm or nothing (the message says why).";

const WAIT_HELP: &str = "\
The run itself says whether it got there, and the watcher its place: you need get on pipelineruns in its namespace, and for the place \
what `list` needs. Neither a watcher that is replaced nor a connection that breaks ends the wait.

Exit codes: 0 it started, or is done and succeeded; 1 who has to be asked can't be reached: from the beginning, or when the time \
is over; 2 the command line can't be used; 3 there is no such run; 4 it doesn't get there: gone, cancelled, or failed (for \
started: before any of its tasks began); 5 the time is over.";

#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Repositories of which somebody runs or waits, those first that have someone waiting: limit, and how many run and wait.
    List,
    /// One repository: who runs, who waits and how long still, and what happened lately.
    Show {
        /// Its name, or namespace/name
        repository: Name,
    },
    /// Why a run is where it is: its place, who is before it, who has the slots; or what else it waits for.
    Explain {
        /// The PipelineRun's name, or namespace/name
        run: Name,
    },
    /// What the waits of the last week, and the use of its slots, would have been under other limits; and how sure that is.
    Advise {
        /// Its name, or namespace/name
        repository: Name,
        /// A limit to try; may be given several times [default: some around that of now].
        #[arg(long = "limit", value_name = "N")]
        limits: Vec<NonZeroU32>,
    },
    /// Wait until a run has started, or is done: for scripts. It says where the run is, a line for each change.
    #[command(after_help = WAIT_HELP)]
    Wait {
        /// The PipelineRun's name, or namespace/name
        run: Name,
        /// What is waited for.
        #[arg(long = "for", value_enum, default_value = "started", value_name = "WHAT")]
        goal: Goal,
        /// How long, like 90s, 2h or 1h30m; 0s looks once.
        #[arg(long, value_name = "DURATION", value_parser = timeout, default_value = "1h")]
        timeout: Duration,
    },
    /// Take the slot of a run that will never end. The last resort: it may run on beside those that follow.
    Release {
        /// The PipelineRun's name, or namespace/name
        run: Name,
        /// Why; it is written onto the run and into the log.
        #[arg(long, value_parser = reason)]
        reason: String,
        /// Although it runs: from then on more than the limit may run.
        #[arg(long)]
        force: bool,
    },
    /// Admit none of a repository's runs for a while. Those that run go on.
    Pause {
        /// Its name, or namespace/name
        repository: Name,
        /// Why; whoever waits is shown it.
        #[arg(long, value_parser = reason)]
        reason: String,
        /// For how long, like 90s, 2h or 1h30m [default: until it is resumed].
        #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
        lasts: Option<Duration>,
    },
    /// Admit again after a pause.
    Resume {
        /// Its name, or namespace/name
        repository: Name,
        /// Why; it is kept with what happened.
        #[arg(long, value_parser = reason)]
        reason: Option<String>,
    },
}

/// What a run is waited to come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Goal {
    /// It is no longer held back.
    Started,
    /// It succeeded.
    Done,
}

// === impl Goal ===

impl Goal {
    /// `it is …`
    pub(crate) fn past(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "done",
        }
    }

    /// `before it …`
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Done => "was done",
        }
    }
}
