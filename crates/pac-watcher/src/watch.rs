//! The watches: what the API server shows goes into the index, and the repositories it touches into the queue of work.
//!
//! What is listed and watched, and whether it is heard at all, `list_watch` sees to. An object that can't be read is
//! reported with its name and skipped; the stream goes on (P10). What a list no longer shows is taken out of the index,
//! which by itself frees nothing (P5).

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;

use kube::api::Api;
use kube::core::ObjectMeta;
use kube::{Client, Resource};
use pac_concurrency::{RepositoryKey, Scope};
use pac_config::Settings;
use pac_kube::api::{PipelineRun, Readable, Repository, labels};
use pac_kube::convert::{self, ConvertError, RepositoryMetadata};
use pac_kube::list_watch::{Deaf, ListWatch, News};
use pac_kube::trace_context::Traced;
use pac_metrics::catalogue;
use pac_state::gate::{Gate, drain};
use pac_state::health::{Health, Part};
use pac_state::index::{Index, OwnLimit};
use pac_state::work_queue::WorkQueue;
use pac_traces::Traces;
use serde::de::DeserializeOwned;
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::timeout_at;
use tracing::{debug, warn};

use crate::observer::{Observer, SeenRun};

/// What a watcher that begins waits for first.
pub(crate) const START_LISTS: &str = "waiting for the first full lists of Repositories and PipelineRuns";

/// Where the watches put what they see.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    /// What is known of the cluster.
    pub index: Arc<Index>,
    /// What is to be looked at.
    pub queue: Arc<WorkQueue>,
    /// What is wrong.
    pub health: Arc<Health>,
    /// What PAC's own watcher does beside this one; none where it must not run.
    pub beside_pac: Option<BesidePac>,
    /// Who measures what is seen, in shadow mode.
    pub observer: Option<Observer>,
    /// Who makes spans of runs' waits.
    pub traces: Option<Traces>,
}

/// What PAC's own watcher does, as far as it matters to this one.
#[derive(Debug, Clone)]
pub(crate) struct BesidePac {
    /// Say whether it makes the Secret with which a run clones its Git repository.
    pub settings: Receiver<Arc<Settings>>,
    /// What keeps its queue out.
    pub gate: Arc<Gate>,
}

/// Watches PipelineRuns that aren't history, for ever; `synced` becomes true with the first full list.
pub(crate) async fn watch_runs(client: Client, sink: Sink, synced: Sender<bool>) {
    let api: Api<Readable<PipelineRun>> = Api::all(client);
    let mut listed = HashSet::new();
    let mut watch = ListWatch::new(api).labels(labels::SELECTOR);
    loop {
        let Some(news) = next(&mut watch, &sink, Part::RunWatch).await else { continue };
        match news {
            News::ListBegan => listed.clear(),
            News::Listed(run) => {
                listed.insert(path(run.meta()));
                sink.run(run);
            }
            News::Applied(run) => sink.run(run),
            News::Deleted(run) => sink.run_gone(&path(run.meta())),
            News::ListEnded => {
                let vanished = sink.index.run_paths();
                vanished.iter().filter(|path| !listed.contains(*path)).for_each(|path| sink.run_gone(path));
                listed = HashSet::new();
                synced.send_replace(true);
            }
            News::Alive => {}
        }
    }
}

/// Watches Repositories, for ever; `synced` becomes true with the first full list.
pub(crate) async fn watch_repositories(client: Client, sink: Sink, synced: Sender<bool>) {
    let api: Api<Readable<Repository>> = Api::all(client);
    let mut listed = HashSet::new();
    let mut watch = ListWatch::new(api);
    loop {
        let Some(news) = next(&mut watch, &sink, Part::RepositoryWatch).await else { continue };
        match news {
            News::ListBegan => listed.clear(),
            News::Listed(repository) => {
                listed.insert(path(repository.meta()));
                sink.repository(repository);
            }
            News::Applied(repository) => sink.repository(repository),
            News::Deleted(repository) => sink.repository_gone(&path(repository.meta())),
            News::ListEnded => {
                let vanished = sink.index.existing_repositories();
                let vanished = vanished.iter().map(RepositoryKey::as_str).filter(|path| !listed.contains(*path));
                vanished.for_each(|path| sink.repository_gone(path));
                listed = HashSet::new();
                synced.send_replace(true);
            }
            News::Alive => {}
        }
    }
}

/// Waits until both watches have had their first full list.
pub(crate) async fn all_true(flags: [Receiver<bool>; 2]) {
    for mut flag in flags {
        // A sender gone means that its watch was stopped: so will be whoever waits here.
        if flag.wait_for(|flag| *flag).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What is heard next; nothing if there was a failure instead.
async fn next<K>(watch: &mut ListWatch<K>, sink: &Sink, part: Part) -> Option<News<K>>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stale_at = watch.stale_at();
    let mut heard = pin!(watch.next());
    let heard = match timeout_at(stale_at, &mut heard).await {
        Ok(heard) => heard,
        Err(_) => {
            if !sink.health.is_troubled(part) {
                sink.health.trouble(part, "nothing was heard of late");
            }
            heard.await
        }
    };
    match heard {
        Ok(news) => {
            // A list alone is of the past: what happens from then on is heard once there is a watch.
            if matches!(news, News::Applied(_) | News::Deleted(_) | News::Alive) {
                sink.health.fine(part);
            }
            Some(news)
        }
        Err(deaf) => {
            let watch = if part == Part::RunWatch { "pipelineruns" } else { "repositories" };
            catalogue::WATCH_RESTARTS.count(&[watch], 1);
            match deaf {
                Deaf::Broken(why) => debug!(part = part.name(), why, "resuming"),
                Deaf::Failed(why) => sink.health.trouble(part, why),
            }
            None
        }
    }
}

// === impl Sink ===

impl Sink {
    fn run(&self, run: Readable<PipelineRun>) {
        let name = path(run.meta());
        let (view, run) = match run.0 {
            Ok(run) => {
                let home = self.index.home_of(&name, run.metadata.uid.as_deref());
                (convert::run_view(&run, home.as_ref()), run)
            }
            Err(unreadable) => {
                warn!(run = %name, error = %unreadable, "skipped a PipelineRun that can't be read");
                // What it was before says nothing of what it is now; if it has a slot, a live read is asked.
                return self.run_gone(&name);
            }
        };
        match view {
            Ok(mut view) => {
                let makes_secrets = |pac: &BesidePac| pac.settings.borrow().pac_makes_secrets;
                view.awaits_secret &= self.beside_pac.as_ref().is_some_and(makes_secrets);
                view.has_pacs_order &= self.beside_pac.is_some();
                if let Some(complaint) = &view.complaint {
                    debug!(run = %name, complaint, "a PipelineRun is queued by its creation time alone");
                }
                if let Some(traces) = &self.traces {
                    traces.saw(&view, || Traced::of(&run));
                }
                let seen = self.observer.as_ref().map(|observer| (observer, SeenRun::of(&view)));
                let touched = self.index.apply_run(view);
                if let Some((observer, seen)) = seen {
                    observer.saw_run(&seen, &touched);
                }
                // The first is the one it is of.
                if let (Some(traces), Some(former)) = (&self.traces, touched.get(1)) {
                    traces.moved(former, &name);
                }
                self.heed_pacs_queue();
                self.look_at(touched);
            }
            // The label says it is PAC's, the annotation doesn't say whose.
            Err(error @ ConvertError::NoRepository) => debug!(run = %name, %error, "skipped a PipelineRun"),
            Err(error) => warn!(run = %name, %error, "skipped a PipelineRun"),
        }
    }

    /// Tells whether PAC's own queue has runs: nobody of their Repositories is admitted meanwhile. Either the queue had them before it
    /// was kept out, or it is no longer.
    fn heed_pacs_queue(&self) {
        let Some(pac) = &self.beside_pac else { return };
        if self.index.is_open_to_pacs_queue() == self.health.drain().is_some() {
            return;
        }
        let drain = self.index.open_to_pacs_queue().map(|(runs, repository)| drain(runs, &repository));
        if drain.is_some() {
            pac.gate.want_proof();
        }
        self.health.note_drain(drain);
    }

    fn run_gone(&self, path: &str) {
        let touched = self.index.remove_run(path);
        if let (Some(observer), Some(repository)) = (&self.observer, &touched) {
            observer.saw_run_gone(repository, path);
        }
        if let (Some(traces), Some(repository)) = (&self.traces, &touched) {
            traces.gone(repository, path);
        }
        self.heed_pacs_queue();
        self.look_at(touched);
    }

    fn repository(&self, repository: Readable<Repository>) {
        let name = path(repository.meta());
        if let Ok(key) = name.parse() {
            self.index.note_repository(&key, convert::repository_metadata(repository.meta()));
        }
        let own = match repository.0 {
            Ok(repository) => match convert::repository_limit(&repository) {
                Ok((key, limit)) => return self.limit(&key, OwnLimit::Says(limit)),
                Err(error) => return warn!(repository = %name, %error, "skipped a Repository"),
            },
            Err(unreadable) => {
                warn!(repository = %name, error = %unreadable, "a Repository can't be read; none of its runs is admitted");
                OwnLimit::Unreadable
            }
        };
        if let Ok(key) = name.parse() {
            self.limit(&key, own);
        }
    }

    fn repository_gone(&self, path: &str) {
        if let Ok(key) = path.parse() {
            self.index.note_repository(&key, RepositoryMetadata::default());
            self.limit(&key, OwnLimit::Missing);
        }
    }

    fn limit(&self, key: &RepositoryKey, own: OwnLimit) {
        let touched = self.index.apply_repository(key, own);
        if let Some(observer) = &self.observer {
            observer.saw_limits(&touched);
        }
        self.look_at(touched);
    }

    fn look_at(&self, repositories: impl IntoIterator<Item = RepositoryKey>) {
        for repository in repositories {
            self.queue.add(repository, Scope::Head);
        }
    }
}

fn path(meta: &ObjectMeta) -> Box<str> {
    let part = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{}/{}", part(&meta.namespace), part(&meta.name)).into()
}
