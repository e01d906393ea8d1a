//! What TAB offers where the answer is in the cluster: contexts, namespaces, Repositories, PipelineRuns, pods.
//!
//! The engine of clap_complete asks for what fits the word at hand, and knows nothing of the others. So the words are kept here, and
//! read as the command line itself would be, in so far as it is one yet: `-n`, `--context` and `--kubeconfig` hold for what is offered.
//! Nobody waits long for TAB: who doesn't answer within [`WITHIN`] offers nothing, and nothing is said of it.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;
use std::time::Duration;

use clap::{ArgMatches, Command, FromArgMatches};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::config::Kubeconfig;
use kube::core::NamespaceResourceScope;
use pac_kube::api::labels::STATE;
use pac_kube::api::{PipelineRun, Repository};
use serde::de::DeserializeOwned;

use crate::args::{Reach, Scope};
use crate::cluster::{self, Cluster};

/// How long TAB may take.
const WITHIN: Duration = Duration::from_secs(2);
/// No more objects than this are asked for.
const MOST: u32 = 500;

/// The command line that is being typed.
static TYPED: OnceLock<Typed> = OnceLock::new();

struct Typed {
    reach: Reach,
    scope: Scope,
}

/// Keeps what was typed, as `command` reads it.
pub(crate) fn keep(command: Command, words: Vec<OsString>) {
    let read = command.ignore_errors(true).try_get_matches_from(words);
    let typed = read.ok().and_then(|read| {
        let innermost = innermost(&read);
        // Not every command has these flags, and clap takes it for a mistake of ours to ask.
        ["admin_url", "all_namespaces"].iter().all(|id| innermost.try_contains_id(id).is_ok()).then_some(())?;
        let reach = Reach::from_arg_matches(innermost).ok()?;
        Some(Typed { reach, scope: Scope::from_arg_matches(innermost).ok()? })
    });
    if let Some(typed) = typed {
        let _ = TYPED.set(typed);
    }
}

/// `command` with what TAB offers for its arguments, by their names.
pub(crate) fn offering(command: Command) -> Command {
    let offering_values = command.mut_args(|argument| match argument.get_id().as_str() {
        "context" => argument.add(contexts()),
        "namespace" | "pac_namespace" => argument.add(namespaces()),
        "pod" => argument.add(pods()),
        "repository" => argument.add(repositories()),
        "run" => argument.add(runs()),
        _ => argument,
    });
    offering_values.mut_subcommands(offering)
}

fn innermost(read: &ArgMatches) -> &ArgMatches {
    read.subcommand().map_or(read, |(_, inner)| innermost(inner))
}

fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let file = TYPED.get().and_then(|typed| typed.reach.kubeconfig.clone());
        let read = file.map_or_else(Kubeconfig::read, Kubeconfig::read_from);
        let named = read.map(|read| read.contexts.into_iter().map(|context| context.name).collect());
        beginning_with(word, named.unwrap_or_default())
    })
}

fn namespaces() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let found = asked(async |typed: &Typed| {
            let cluster = Cluster::of(&typed.reach).await.ok()?;
            let namespaces: Api<Namespace> = Api::all(cluster.client().clone());
            let found = namespaces.list_metadata(&ListParams::default().limit(MOST)).await.ok()?;
            Some(found.items.into_iter().filter_map(|object| object.metadata.name).collect())
        });
        beginning_with(word, found)
    })
}

/// Pods of PAC's namespace.
fn pods() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| {
        let found = asked(async |typed: &Typed| {
            let cluster = Cluster::of(&typed.reach).await.ok()?;
            names::<Pod>(&cluster, &typed.reach.pac_namespace, &ListParams::default()).await
        });
        beginning_with(word, found)
    })
}

fn repositories() -> ArgValueCompleter {
    ArgValueCompleter::new(|word: &OsStr| named::<Repository>(word, &ListParams::default()))
}

/// Runs that aren't done, as far as their label says.
fn runs() -> ArgValueCompleter {
    let unfinished = ListParams::default().labels(&format!("{STATE} in (queued, started)"));
    ArgValueCompleter::new(move |word: &OsStr| named::<PipelineRun>(word, &unfinished))
}

/// Objects of this kind: of the namespace in the word, if it has one, else of that which is asked about.
fn named<K>(word: &OsStr, which: &ListParams) -> Vec<CompletionCandidate>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let inside = word.to_str().and_then(|word| word.split_once('/')).map(|(namespace, _)| namespace.to_owned());
    let found = asked(async |typed: &Typed| {
        let namespace = match inside.as_ref().or(typed.scope.namespace.as_ref()) {
            Some(namespace) => namespace.clone(),
            None => cluster::config(&typed.reach).await.ok()?.default_namespace,
        };
        names::<K>(&Cluster::of(&typed.reach).await.ok()?, &namespace, which).await
    });
    let found = match &inside {
        Some(namespace) => found.into_iter().map(|name| format!("{namespace}/{name}")).collect(),
        None => found,
    };
    beginning_with(word, found)
}

async fn names<K>(cluster: &Cluster, namespace: &str, which: &ListParams) -> Option<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
{
    let found = cluster.api::<K>(namespace).list_metadata(&which.clone().limit(MOST)).await.ok()?;
    Some(found.items.into_iter().filter_map(|object| object.metadata.name).collect())
}

/// What `ask` comes to in the time there is.
fn asked(ask: impl AsyncFnOnce(&Typed) -> Option<Vec<String>>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (Some(typed), Ok(runtime)) = (TYPED.get(), runtime) else { return Vec::new() };
    let asked = async { tokio::time::timeout(WITHIN, ask(typed)).await.ok().flatten() };
    runtime.block_on(asked).unwrap_or_default()
}

fn beginning_with(word: &OsStr, mut names: Vec<String>) -> Vec<CompletionCandidate> {
    let word = word.to_string_lossy();
    names.retain(|name| name.starts_with(word.as_ref()));
    names.sort();
    names.into_iter().map(CompletionCandidate::new).collect()
}
