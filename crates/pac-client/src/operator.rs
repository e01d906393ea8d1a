//! `queue pause`, `resume` and `release`: what an operator decides is written onto the Kubernetes object it is about.
//!
//! So the API server says whether this user may, and keeps who did; it survives every watcher and every store; and the
//! admin port, which anybody reaches who may port-forward, changes nothing.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use pac_concurrency::RepositoryKey;
use pac_kube::api::{PipelineRun, Readable, Repository};
use pac_kube::convert::{self, Phase};
use pac_kube::decision::Decision;
use pac_kube::patch;
use pac_kube::pause::Pause;
use pac_queue::view::Overview;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Failure;
use crate::args::{DryRun, Name, Queue};
use crate::cluster::Cluster;
use crate::output::{Page, Printer, Shown};
use crate::pages::qualified;
use crate::source::Source;
use crate::times::time;

/// What was written, or would have been.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Written {
    /// What the object is now.
    object: Value,
    #[serde(skip)]
    name: String,
    /// What happened, and what follows, a line each.
    #[serde(skip)]
    text: String,
}

// === impl Written ===

impl Written {
    fn print<K: Resource<DynamicType = ()>>(queue: &Queue, metadata: &ObjectMeta, text: &str) -> Result<(), Failure> {
        let object = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": metadata});
        let name = qualified::<K>(metadata.name.as_deref().unwrap_or_default());
        let (first, more) = text.split_once('\n').map_or((text, None), |(first, more)| (first, Some(more)));
        let dry = match queue.form.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        };
        let text = [Some(format!("{first}{dry}")), more.map(str::to_owned)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n");
        Printer::new(&queue.form).answer(&Self { object, name, text }).map(drop)
    }
}

impl Shown for Written {
    fn write(&self, page: &mut Page) {
        self.text.lines().for_each(|line| page.line(line));
    }

    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

pub(crate) async fn pause(queue: &Queue, name: &Name, reason: &str, lasts: Option<Duration>) -> Result<(), Failure> {
    let repository = &queue.scope.key(&queue.reach, name).await?;
    let cluster = Cluster::of(&queue.reach).await?;
    let found = find_repository(&cluster, repository).await?;
    let doubt = may_pause(queue, repository, &found).await?;
    let now = Timestamp::now();
    let until = lasts.map(|lasts| now + lasts);
    let written = write_onto(&cluster, repository, Decision::Paused { reason, until }, queue.form.dry_run).await?;
    let mut text = format!("paused {repository} {}", end(until));
    match doubt {
        None => text += ": none of its runs is admitted, those that run go on",
        Some(doubt) => text = format!("{text}. {doubt}"),
    }
    let before = convert::pause(found.meta()).filter(|before| before.lasts_at(now));
    if let Some(Pause { reason, .. }) = &before {
        let until = end(before.as_ref().and_then(Pause::until));
        text = format!("{text}\nthis takes the place of a pause {until}: {reason}");
    }
    Written::print::<Repository>(queue, &written, &text)
}

pub(crate) async fn resume(queue: &Queue, name: &Name, reason: Option<&str>) -> Result<(), Failure> {
    let repository = &queue.scope.key(&queue.reach, name).await?;
    let cluster = Cluster::of(&queue.reach).await?;
    let found = find_repository(&cluster, repository).await?;
    if convert::pause(found.meta()).is_none() {
        return Err(Failure::Refused(format!("{repository} is not paused")));
    }
    let written = write_onto(&cluster, repository, Decision::Resumed { reason }, queue.form.dry_run).await?;
    Written::print::<Repository>(queue, &written, &format!("resumed {repository}"))
}

fn end(until: Option<Timestamp>) -> String {
    until.map_or_else(|| "until it is resumed".to_owned(), |until| format!("until {}", time(until)))
}

/// Whether a pause would hold anybody up: a Repository without a limit has its runs started by Pipelines-as-Code itself. What
/// is to be said if that can't be told.
async fn may_pause(
    queue: &Queue,
    repository: &RepositoryKey,
    found: &Readable<Repository>,
) -> Result<Option<String>, Failure> {
    let unlimited = || {
        Err(Failure::Refused(format!(
            "{repository} has no limit: Pipelines-as-Code starts its runs itself, and no pause would hold them. Give it a \
             concurrency_limit first"
        )))
    };
    match found.0.as_ref().map(|found| found.spec.limit()) {
        Ok(Some(0)) => unlimited(),
        Ok(None) => match effective_limit(queue, repository).await {
            Ok(limit) if limit.as_deref() == Some("unlimited") => unlimited(),
            Ok(_) => Ok(None),
            Err(failure) => Ok(Some(format!(
                "It has no limit of its own, and whether the global Repository has one isn't known: {}. If it has none, \
                 Pipelines-as-Code starts these runs itself, and the pause holds nobody",
                failure.why()
            ))),
        },
        // A limit that can't be read holds its runs already.
        Ok(Some(_)) | Err(_) => Ok(None),
    }
}

/// The limit as the watcher has it, who knows the global Repository's; none if it doesn't know `repository` yet.
async fn effective_limit(queue: &Queue, repository: &RepositoryKey) -> Result<Option<String>, Failure> {
    let source = Source::find(&queue.reach, &queue.server).await?;
    let asked = [("namespace", repository.namespace())];
    let asked = if source.is_of_tenants() { &asked[..] } else { &[] };
    let overview: Overview = source.get("/summary", asked).await?;
    let its_own = overview.repositories.into_iter().find(|one| one.repository == repository.as_str());
    Ok(its_own.map(|one| one.limit.text))
}

async fn find_repository(cluster: &Cluster, repository: &RepositoryKey) -> Result<Readable<Repository>, Failure> {
    let found = cluster.find(repository.namespace(), repository.name()).await?;
    found.ok_or_else(|| Failure::Missing(format!("there is no Repository {repository}")))
}

async fn write_onto(
    cluster: &Cluster,
    repository: &RepositoryKey,
    decision: Decision<'_>,
    dry_run: DryRun,
) -> Result<ObjectMeta, Failure> {
    if dry_run == DryRun::Client {
        return Ok(decision.onto(metadata::<Repository>(cluster, repository).await?));
    }
    let patch = patch::decide(cluster.client(), repository, &decision, dry_run == DryRun::Server);
    match cluster.ask(&format!("the patch of Repository {repository}"), patch).await? {
        Ok(written) => Ok(written),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            Err(Failure::Missing(format!("there is no Repository {repository}")))
        }
        Err(error) => Err(cluster.explain(&error)),
    }
}

/// All of an object's metadata: what is read elsewhere has only what matters there.
async fn metadata<K>(cluster: &Cluster, key: &RepositoryKey) -> Result<ObjectMeta, Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = format!("{} {key}", K::kind(&()));
    let asked = cluster.api::<K>(key.namespace());
    let found = cluster.ask(&what, asked.get_metadata(key.name())).await?;
    found.map(|found| found.metadata).map_err(|error| cluster.explain(&error))
}

pub(crate) async fn release(queue: &Queue, name: &Name, reason: &str, force: bool) -> Result<(), Failure> {
    let key = queue.scope.key(&queue.reach, name).await?;
    let path = key.as_str();
    let cluster = Cluster::of(&queue.reach).await?;
    let found: Option<PipelineRun> = cluster.find(key.namespace(), key.name()).await?;
    let found = found.ok_or_else(|| {
        Failure::Missing(format!("there is no PipelineRun {path}: if it had a slot, that is freed without your help"))
    })?;
    let view = convert::run_view(&found, None).map_err(|error| Failure::Refused(format!("{path}: {error}")))?;
    may_release(path, view.phase, force)?;
    let dry_run = queue.form.dry_run;
    let written = if dry_run == DryRun::Client {
        Decision::Released { run: &view.key, reason }.onto(metadata::<PipelineRun>(&cluster, &key).await?)
    } else {
        let released = patch::release(cluster.client(), &view.key, reason, dry_run == DryRun::Server);
        match cluster.ask(&format!("the patch of PipelineRun {path}"), released).await? {
            Ok(written) => written,
            Err(kube::Error::Api(status)) if status.code == 422 => {
                return Err(Failure::Refused(format!("{path} was changed meanwhile; look at it again")));
            }
            Err(error) => return Err(cluster.explain(&error)),
        }
    };
    let text = format!(
        "released {path}: it counts no more, and the next run is admitted in its place, though it may still run"
    );
    Written::print::<PipelineRun>(queue, &written, &text)
}

/// Whether taking the slot of a run in this phase is what anybody wants.
fn may_release(path: &str, phase: Phase, force: bool) -> Result<(), Failure> {
    let nothing = |why: &str| Err(Failure::Refused(format!("{path} {why}")));
    match phase {
        Phase::Running if force => Ok(()),
        Phase::Running => nothing(
            "still runs. Cancel it, and its slot is freed when it ends; with --force its slot is taken although it runs, \
             and more than the limit may run from then on",
        ),
        Phase::ForceReleased => nothing("was released before"),
        Phase::Done(_) => nothing("is done: its slot is freed without your help"),
        Phase::Withdrawn | Phase::Stopping => {
            nothing("was cancelled or is being deleted: its place is freed without your help")
        }
        Phase::Arriving | Phase::Waiting | Phase::Held => {
            nothing("has not started, and has no slot to take. To take it out of the queue, cancel or delete it")
        }
    }
}

#[cfg(test)]
mod tests {

    use pac_kube::convert::FinalState;

    use super::*;

    #[test]
    fn only_a_run_that_runs_is_released_and_only_by_force() {
        assert!(may_release("ns/run", Phase::Running, true).is_ok());
        let Err(Failure::Refused(why)) = may_release("ns/run", Phase::Running, false) else { panic!() };
        assert!(why.contains("--force"), "{why}");
        let others =
            [Phase::Arriving, Phase::Waiting, Phase::Withdrawn, Phase::ForceReleased, Phase::Done(FinalState::Failed)];
        for phase in others {
            assert!(matches!(may_release("ns/run", phase, true), Err(Failure::Refused(_))), "{phase:?}");
        }
    }
}
