//! What is asked about, and how it is answered: the flags that kubectl has, too.

use clap::{Args, ValueEnum};

use super::What;
use super::output::{Output, OutputParser};
use crate::Failure;
use crate::jsonpath::Path;

/// Which objects a command is about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is asked about")]
pub(crate) struct Scope {
    /// The namespace that is asked about [default: that of the kubeconfig's context].
    #[arg(short, long, value_name = "NAMESPACE", global = true)]
    pub(crate) namespace: Option<String>,
    /// All namespaces, whatever --namespace says (list).
    #[arg(short = 'A', long, global = true)]
    pub(crate) all_namespaces: bool,
    /// Those with these labels alone: of Repositories (list), of PipelineRuns (show); as kubectl takes it.
    #[arg(short = 'l', long, value_name = "SELECTOR", global = true)]
    pub(crate) selector: Option<String>,
    /// The Repositories of which nobody runs or waits, too (list).
    #[arg(long, global = true)]
    pub(crate) all: bool,
}

/// How answers look.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How it is answered")]
pub(crate) struct Form {
    /// How answers look: jsonpath= takes a template of kubectl's, for what json prints.
    #[arg(short, long, value_parser = OutputParser, default_value = "table", value_name = "FORM", global = true)]
    pub(crate) output: Output,
    /// Sort by this field of what json prints of each Repository (list) or run (show), like .waiting or {.limit.text}.
    #[arg(long, value_name = "JSONPATH", value_parser = Path::read_loosely, global = true)]
    pub(crate) sort_by: Option<Path>,
    /// Tables without their titles.
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// Ask again every two seconds, until interrupted (list, show and explain); whoever doesn't answer is asked again.
    #[arg(short, long, global = true)]
    pub(crate) watch: bool,
    /// Write nothing (pause, resume and release): client shows what would be written, server has the API server judge it.
    #[arg(long, value_enum, default_value = "none", value_name = "WHERE", global = true)]
    pub(crate) dry_run: DryRun,
}

/// How far a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// All the way.
    None,
    /// Not to the API server.
    Client,
    /// To the API server, which keeps nothing of it.
    Server,
}

/// Refuses flags that `what` has no use for: whoever gave one expects something of it.
pub(crate) fn check(what: &What, scope: &Scope, form: &Form) -> Result<(), Failure> {
    let lists = matches!(what, What::List);
    let shows = lists || matches!(what, What::Show { .. });
    let answers = shows || matches!(what, What::Explain { .. });
    let prints = answers || matches!(what, What::Advise { .. });
    let writes = matches!(what, What::Pause { .. } | What::Resume { .. } | What::Release { .. });
    let flags = [
        ("--all-namespaces", scope.all_namespaces, lists, "list"),
        ("--all", scope.all, lists, "list"),
        ("--selector", scope.selector.is_some(), shows, "list and show"),
        ("--sort-by", form.sort_by.is_some(), shows, "list and show"),
        ("--no-headers", form.no_headers, prints, "list, show, explain and advise"),
        ("--watch", form.watch, answers, "list, show and explain"),
        (
            "--output",
            form.output != Output::Table,
            prints || writes,
            "list, show, explain, advise, pause, resume and release",
        ),
        ("--dry-run", form.dry_run != DryRun::None, writes, "pause, resume and release"),
    ];
    match flags.into_iter().find(|(_, given, of_use, _)| *given && !of_use) {
        Some((flag, _, _, whose)) => Err(Failure::Usage(format!("{flag} is for {whose} alone"))),
        None => Ok(()),
    }
}
