//! `queue wait`: for scripts that go on when a run has started, or is done.
//!
//! The run itself says whether it got there, so that no watcher, leader or port-forward is needed for that: the API server is asked
//! for it again and again. Place and estimate are the watcher's that leads, whoever that is by then; if nobody can be asked, they are
//! missing from the line of progress, and that is all.

use std::time::{Duration, Instant};

use kube::api::{Api, ApiResource, DynamicObject};
use pac_concurrency::RepositoryKey;
use pac_kube::api::PipelineRun;
use pac_kube::convert::{self, FinalState, Phase};
use pac_queue::view::{Answer, Explanation};

use crate::Failure;
use crate::args::{Goal, Name, Queue, Reach, Server};
use crate::cluster::Cluster;
use crate::patience::Patience;
use crate::progress::{Progress, Told};
use crate::source::Source;
use crate::times::{estimate, span};

/// How often the run is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long the watcher is waited for, which nothing depends on.
const PLACE_WITHIN: Duration = Duration::from_secs(3);
/// How long an API server that has never answered is tried.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What is waited for, and what is known of it.
struct Wait {
    cluster: Cluster,
    reach: Reach,
    server: Server,
    run: RepositoryKey,
    goal: Goal,
    /// Of the run that was there at first: one of its name is another.
    uid: Option<String>,
    /// Since when the API server hasn't been heard, and what it or the way to it says.
    unheard: Option<(Instant, String)>,
    source: Option<Source>,
    timeout: Duration,
}

/// Where the run is, by its object.
enum Seen {
    There,
    NotYet(Phase),
    /// It never gets there, for this reason.
    Never(String),
}

/// Waits for a run to get there; see `pac-watcher queue wait --help` for what the errors say.
pub(crate) async fn wait(queue: &Queue, name: &Name, goal: Goal, timeout: Duration) -> Result<(), Failure> {
    let run = queue.scope.key(&queue.reach, name).await?;
    let cluster = Cluster::of(&queue.reach).await?;
    let mut reach = queue.reach.clone();
    reach.patience = Patience { request_timeout: reach.patience.request_timeout.min(PLACE_WITHIN) };
    let server = queue.server.clone();
    let wait = Wait { cluster, reach, server, run, goal, uid: None, unheard: None, source: None, timeout };
    wait.carry_out().await
}

// === impl Wait ===

impl Wait {
    async fn carry_out(mut self) -> Result<(), Failure> {
        let began = Instant::now();
        let mut progress = Progress::new();
        loop {
            let looked = Instant::now();
            let told = match self.look().await {
                Ok(Seen::There) => {
                    let after = format!(" after {}", span(began.elapsed().as_secs_f64()));
                    let after = if progress.has_told() { after } else { String::new() };
                    return progress.end(&format!("{}: {}{after}", self.run, self.goal.past()));
                }
                Ok(Seen::Never(why)) => {
                    progress.leave()?;
                    return Err(Failure::Refused(why));
                }
                Ok(Seen::NotYet(phase)) => {
                    self.unheard = None;
                    self.told(phase).await
                }
                Err(failure) => self.unheard(failure, &progress)?,
            };
            progress.tell(told)?;
            if began.elapsed() >= self.timeout {
                progress.leave()?;
                return Err(self.too_late());
            }
            let left = self.timeout.saturating_sub(began.elapsed());
            tokio::time::sleep(LOOK_EVERY.saturating_sub(looked.elapsed()).min(left)).await;
        }
    }

    /// Where the run is.
    async fn look(&mut self) -> Result<Seen, Failure> {
        let resource = ApiResource::erase::<PipelineRun>(&());
        let client = self.cluster.client().clone();
        let runs: Api<DynamicObject> = Api::namespaced_with(client, self.run.namespace(), &resource);
        let asked = self.cluster.ask(&format!("PipelineRun {}", self.run), runs.get_opt(self.run.name())).await?;
        let found = asked.map_err(|error| match &error {
            // Who may not read the run now may not in a moment.
            kube::Error::Api(status) if matches!(status.code, 401 | 403) && self.uid.is_none() => {
                Failure::Local(self.cluster.explain(&error).why().to_owned())
            }
            _ => self.cluster.explain(&error),
        })?;
        let run = &self.run;
        let Some(found) = found else {
            return match self.uid {
                Some(_) => Ok(Seen::Never(format!("{run} is gone: it was deleted before it {}", self.goal.verb()))),
                None => Err(Failure::Missing(format!("there is no PipelineRun {run}"))),
            };
        };
        let uid = self.uid.get_or_insert_with(|| found.metadata.uid.clone().unwrap_or_default());
        if found.metadata.uid.as_ref() != Some(uid) {
            return Ok(Seen::Never(format!("{run} is gone: another of its name took its place")));
        }
        let has_begun = found.data.pointer("/status/childReferences/0").is_some();
        let read = serde_json::to_value(&found).and_then(serde_json::from_value::<PipelineRun>);
        let read = read.map_err(|error| Failure::Refused(format!("{run} can't be read: {error}")))?;
        let view = convert::run_view(&read, None).map_err(|error| Failure::Refused(format!("{run}: {error}")))?;
        Ok(self.judge(view.phase, has_begun))
    }

    fn judge(&self, phase: Phase, has_begun: bool) -> Seen {
        let never = |how: &str| Seen::Never(format!("{} {how}", self.run));
        match (phase, self.goal) {
            (Phase::Running | Phase::ForceReleased, Goal::Started) => Seen::There,
            (Phase::Done(FinalState::Completed), _) => Seen::There,
            (Phase::Done(FinalState::Failed), Goal::Started) if has_begun => Seen::There,
            (Phase::Done(FinalState::Failed), Goal::Started) => {
                never("failed or was cancelled before any of its tasks began")
            }
            (Phase::Done(FinalState::Failed), Goal::Done) => never("failed or was cancelled"),
            (Phase::Withdrawn, _) => never("was cancelled or is being deleted, and is not going to be started"),
            (phase, _) => Seen::NotYet(phase),
        }
    }

    /// What is said of a run that isn't there yet.
    async fn told(&mut self, phase: Phase) -> Told {
        let run = self.run.clone();
        if matches!(phase, Phase::Running | Phase::ForceReleased) {
            return Told::plain(format!("{run}: running"));
        }
        match self.explained().await {
            Ok(told) => progress_of(&told),
            Err(failure) => {
                // The next to lead is another.
                self.source = self.source.take().filter(Source::is_of_tenants);
                Told::plain(format!("{run}: waiting; its place isn't known: {}", failure.why()))
            }
        }
    }

    async fn explained(&mut self) -> Result<Explanation, Failure> {
        if self.source.is_none() {
            let found = self.reach.patience.wait("the cluster", Source::find(&self.reach, &self.server)).await;
            self.source = Some(found.map_err(Failure::Unreachable)??);
        }
        let Some(source) = &self.source else { return Err(Failure::Unreachable("nobody to ask".to_owned())) };
        source.get("/explain", &[("run", self.run.as_str())]).await
    }

    /// What is said while the API server can't be heard; an error if it isn't worth waiting for.
    fn unheard(&mut self, failure: Failure, progress: &Progress) -> Result<Told, Failure> {
        if !failure.may_pass(false) {
            progress.leave()?;
            return Err(failure);
        }
        let why = failure.why().to_owned();
        let (since, said) = self.unheard.get_or_insert_with(|| (Instant::now(), why.clone()));
        said.clone_from(&why);
        if self.uid.is_none() && since.elapsed() > FIRST_ANSWER_WITHIN {
            progress.leave()?;
            return Err(failure);
        }
        Ok(Told::plain(format!("{}: {why}; asked again", self.run)))
    }

    /// Why it is over now.
    fn too_late(&self) -> Failure {
        let run = &self.run;
        match &self.unheard {
            Some((since, why)) => Failure::Unreachable(format!(
                "whether {run} {} isn't known after {:?} (--timeout), since nobody could be asked for {}: {why}",
                self.goal.verb(),
                self.timeout,
                span(since.elapsed().as_secs_f64())
            )),
            None => {
                Failure::TimedOut(format!("{run} is not {} after {:?} (--timeout)", self.goal.past(), self.timeout))
            }
        }
    }
}

/// Place and estimate, or what else it waits for.
fn progress_of(told: &Explanation) -> Told {
    let run = &told.run;
    match (told.answer, told.position) {
        (Answer::Waiting, Some(position)) => Told {
            text: format!("{run}: place {position}"),
            rest: told.estimate.map(|range| format!("; starts in {}", estimate(range))),
            expected: told.estimate.map(|range| Duration::from_secs_f64(range.latest_seconds.max(0.0))),
        },
        // That the watcher doesn't know of it yet, or no longer, is no more than a moment's affair.
        (Answer::Waiting | Answer::Starting | Answer::Running | Answer::Unknown, _) => {
            Told::plain(format!("{run}: {}", if told.answer == Answer::Starting { "starting" } else { "waiting" }))
        }
        _ => Told::plain(format!("{run}: {}", told.because.trim_end_matches('.'))),
    }
}
