//! `queue list`, `show`, `explain` and `advise`: what the watcher is asked, and what of its answer is wanted.

use std::time::Duration;

use pac_advice::advise;
use pac_kube::api::{PipelineRun, Repository};
use pac_queue::view::{Answer, Explanation, Overview, Queues, Summary};
use serde::Serialize;

use crate::Failure;
use crate::args::{Queue, What};
use crate::cluster::Cluster;
use crate::output::Printer;
use crate::say;
use crate::scope::Listed;
use crate::select::selected;
use crate::sort::{nothing_at, sort_by};
use crate::source::Source;

/// How often `--watch` asks.
const AGAIN: Duration = Duration::from_secs(2);

/// The Repositories that were asked for.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Listing {
    pub(crate) overview: Overview,
    #[serde(skip)]
    pub(crate) listed: Listed,
    /// How many were left out because nobody runs or waits there.
    #[serde(skip)]
    pub(crate) idle: usize,
    /// What was left out, and how to see it.
    #[serde(skip)]
    pub(crate) notes: Vec<String>,
}

/// A Repository's queue, or what was asked for of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Details {
    pub(crate) queues: Queues,
    #[serde(skip)]
    pub(crate) selector: Option<String>,
}

pub(crate) async fn answer(queue: &Queue) -> Result<(), Failure> {
    let mut printer = Printer::new(&queue.form);
    let mut source = None;
    loop {
        let is_read = match ask(queue, &mut source, &mut printer).await {
            // Whoever watches is told, and told more when there is more to tell; the watcher may be another by then. The port for tenants
            // is where it was, and a plugin isn't asked for a token anew.
            Err(failure) if queue.form.watch && failure.may_pass(printer.has_printed()) => {
                source = source.filter(Source::is_of_tenants);
                printer.trouble(failure.why())?
            }
            answered => answered?,
        };
        if !queue.form.watch || !is_read {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks once, and prints what is answered; whether anybody still reads.
async fn ask(queue: &Queue, source: &mut Option<Source>, printer: &mut Printer) -> Result<bool, Failure> {
    let about = match &queue.what {
        What::Show { repository: name } | What::Explain { run: name } | What::Advise { repository: name, .. } => {
            Some(queue.scope.key(&queue.reach, name).await?)
        }
        _ => None,
    };
    if source.is_none() {
        *source = Some(Source::find(&queue.reach, &queue.server).await?);
    }
    let Some(source) = source else { return Ok(false) };
    match (&queue.what, about) {
        (What::Show { .. }, Some(repository)) => {
            let queues = source.get("", &[("repository", repository.as_str())]).await?;
            let selector = queue.scope.selector.clone();
            printer.answer(&narrowed(queue, Details { queues, selector }, repository.namespace()).await?)
        }
        (What::Explain { .. }, Some(run)) => {
            let told: Explanation = source.get("/explain", &[("run", run.as_str())]).await?;
            let unknown = told.answer == Answer::Unknown && !queue.form.watch;
            let is_read = unknown && queue.form.output.is_table() || printer.answer(&told)?;
            if unknown { Err(Failure::Missing(told.because)) } else { Ok(is_read) }
        }
        (What::Advise { limits, .. }, Some(repository)) => {
            let times = source.get("/times", &[("repository", repository.as_str())]).await?;
            // Replayed here, where it takes nothing from who admits.
            let advice = advise(&times, limits);
            let refused = |too_little| Failure::Refused(format!("{repository}: {too_little}"));
            printer.answer(&advice.map_err(refused)?)
        }
        (What::List, _) => {
            let listing = listing(queue, source, printer).await?;
            if !printer.has_printed() && !printer.is_at_terminal() {
                listing.notes.iter().for_each(say::note);
            }
            printer.answer(&listing)
        }
        _ => Ok(false),
    }
}

/// Of all there is, what was asked for: those first that have someone waiting, the longest first.
async fn listing(queue: &Queue, source: &Source, printer: &Printer) -> Result<Listing, Failure> {
    let listed = queue.scope.listed(&queue.reach, !printer.has_printed()).await?;
    // A tenant may see what is asked for, and perhaps nothing else.
    let asked = listed.namespace().filter(|_| source.is_of_tenants()).map(|namespace| ("namespace", namespace));
    let mut overview: Overview = source.get("/summary", asked.as_slice()).await?;
    let mut notes = Vec::new();
    if let Some(namespace) = listed.namespace() {
        let inside = format!("{namespace}/");
        let is_inside = |one: &Summary| one.repository.starts_with(&inside);
        let waiting = overview.repositories.iter().filter(|one| !is_inside(one) && one.waiting > 0).count();
        if waiting > 0 && matches!(listed, Listed::Implied(_)) {
            notes.push(format!(
                "this is namespace {namespace}, of the kubeconfig's context. Repositories of other namespaces in which runs wait: \
                 {waiting} (--all-namespaces)"
            ));
        }
        overview.repositories.retain(is_inside);
    }
    if let Some(selector) = &queue.scope.selector {
        let cluster = Cluster::of(&queue.reach).await?;
        let wanted = selected::<Repository>(&cluster, listed.namespace(), selector).await?;
        overview.repositories.retain(|one| wanted.contains(&one.repository));
    }
    let before = overview.repositories.len();
    overview.repositories.retain(|one| queue.scope.all || !is_idle(one));
    let idle = before - overview.repositories.len();
    if idle > 0 {
        notes.push(format!("Repositories of which nobody runs or waits are left out: {idle} (--all)"));
    }
    overview.repositories.sort_by_key(|one| (one.waiting == 0, one.oldest_waiting_seconds.map(|age| -age)));
    if let Some(path) = &queue.form.sort_by {
        let found = sort_by(&mut overview.repositories, path)?;
        if !found && !overview.repositories.is_empty() {
            return Err(nothing_at(path));
        }
    }
    Ok(Listing { overview, listed, idle, notes })
}

/// Whether there is nothing to be said of it.
fn is_idle(one: &Summary) -> bool {
    one.running == 0 && one.waiting == 0 && one.paused.is_none() && one.limit.why.is_none()
}

/// The same with the runs that were asked for, in the order that was.
async fn narrowed(queue: &Queue, mut details: Details, namespace: &str) -> Result<Details, Failure> {
    if let Some(selector) = &queue.scope.selector {
        let cluster = Cluster::of(&queue.reach).await?;
        let wanted = selected::<PipelineRun>(&cluster, Some(namespace), selector).await?;
        for one in &mut details.queues.repositories {
            one.running.retain(|slot| wanted.contains(&slot.run));
            one.waiting.retain(|run| wanted.contains(&run.run));
            one.history.retain(|record| record.run.as_ref().is_some_and(|run| wanted.contains(run)));
        }
    }
    if let Some(path) = &queue.form.sort_by {
        let mut found = false;
        for one in &mut details.queues.repositories {
            found |= sort_by(&mut one.running, path)? | sort_by(&mut one.waiting, path)?;
        }
        let is_empty = |one: &pac_queue::view::RepositoryQueue| one.running.is_empty() && one.waiting.is_empty();
        if !found && !details.queues.repositories.iter().all(is_empty) {
            return Err(nothing_at(path));
        }
    }
    Ok(details)
}
