//! What runs that wait say of their wait, kept true on the runs themselves: `kubectl get` shows place, reason and expected start to
//! whoever may read the run.
//!
//! The watcher that leads writes it, from what `explain` answers. `pace` says which change is worth a write, and how many there
//! are; `books` whose turn it is; `room` whether the API server has time. A write comes behind every start, one after the other,
//! and whoever is admitted waits for none. The start itself takes away what a run says, and so does whatever else ends its wait:
//! what then is left, since others started, cancelled or finished the run, is taken away here.

mod books;
mod pace;
mod room;
#[cfg(test)]
mod simulated;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::api::ListParams;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::api::PipelineRun;
use pac_kube::api::labels::SELECTOR;
use pac_kube::convert::run_view;
use pac_kube::leader::is_vacant;
use pac_kube::list_all::list;
use pac_kube::notice::Notice;
use pac_kube::patch::{NoticeOutcome, put_notice, take_notice};
use pac_metrics::catalogue;
use pac_state::active_store::System;
use pac_state::health::Part;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use self::books::{Book, Due};
use self::pace::Budget;
use self::room::Room;
use crate::queue::QueueQuery;

pub use self::pace::Pace;

/// How long a write waits for a moment without starts, and how often it looks.
const QUIET_WITHIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(10));
/// The longest rest after a look.
const REST_MOST: Duration = Duration::from_secs(30);
/// How long it stands that nobody leads.
const VACANT_FOR: Duration = Duration::from_secs(5);
/// How long after a list that failed the next one is asked for.
const LIST_AGAIN: Duration = Duration::from_secs(60);

/// Writes onto runs what they wait for.
pub struct Notices {
    /// Makes the answers.
    pub query: QueueQuery,
    /// Whether it is wanted, by the settings in force.
    pub wanted: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How closely what runs say follows what is so.
    pub pace: Pace,
    /// Where the Lease is by which one of several watchers leads; none where all do.
    pub lease: Option<String>,
}

/// What is remembered from round to round.
#[derive(Debug)]
struct Desk {
    looks: HashMap<RepositoryKey, Look>,
    budget: Budget,
    room: Room,
    /// When everything is to be taken away, while the system is off; none once it was.
    clear_at: Option<Instant>,
    /// Whether this watcher writes although it doesn't lead, and when that was looked at.
    stands_in: Option<(bool, Instant)>,
}

/// A repository as last looked at.
#[derive(Debug)]
struct Look {
    book: Book,
    at: Instant,
    /// How often something had happened in it by then.
    moves: u64,
    /// Whether some had to wait for their turn.
    is_behind: bool,
}

// === impl Notices ===

impl Notices {
    /// Writes, for ever.
    pub async fn run(self) {
        let mut rounds = interval(self.pace.round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut desk = Desk::new(&self.pace);
        loop {
            rounds.tick().await;
            match self.query.active_store.system() {
                _ if !self.is_ours_to_do(&mut desk).await => {
                    desk = Desk { stands_in: desk.stands_in, ..Desk::new(&self.pace) };
                    drop(self.query.index.take_left_noticed());
                }
                System::On(_) => self.round(&mut desk).await,
                System::Off => self.clear(&mut desk).await,
                System::Starting | System::Shadow => {}
            }
        }
    }

    fn leads(&self) -> bool {
        *self.query.leading.borrow()
    }

    /// Whether this watcher leads; or nobody does, since the store is away: then each says so, and finds it said.
    async fn is_ours_to_do(&self, desk: &mut Desk) -> bool {
        if self.leads() {
            return true;
        }
        let Some(namespace) = self.lease.as_ref().filter(|_| self.query.health.is_troubled(Part::Store)) else {
            return false;
        };
        let now = Instant::now();
        if let Some((stands_in, at)) = desk.stands_in
            && now.saturating_duration_since(at) < VACANT_FOR
        {
            return stands_in;
        }
        let stands_in = is_vacant(&self.query.client, namespace).await;
        desk.stands_in = Some((stands_in, now));
        stands_in
    }

    /// Whether a round goes on: nothing has changed that would end it.
    fn goes_on(&self, desk: &Desk) -> bool {
        let stands_in = || desk.stands_in.is_some_and(|(stands_in, _)| stands_in);
        let is_ours = self.leads() || stands_in() && self.query.health.is_troubled(Part::Store);
        is_ours && matches!(self.query.active_store.system(), System::On(_))
    }

    /// Whether the API server has room for what nobody waits for.
    fn has_room(&self, desk: &Desk, repository: &RepositoryKey) -> bool {
        let vital = [Part::ApiServer, Part::RunWatch, Part::RepositoryWatch];
        let is_troubled = vital.into_iter().any(|part| self.query.health.is_troubled(part));
        !is_troubled && desk.room.is_open_for(repository, Instant::now())
    }

    async fn round(&self, desk: &mut Desk) {
        desk.clear_at = Some(Instant::now());
        for (repository, run) in self.query.index.take_left_noticed() {
            if !self.has_room(desk, &repository) {
                put_off(1);
            } else if self.turn_comes(desk).await {
                self.write(desk, &repository, &run, None).await;
            }
        }
        for repository in self.to_look_at(desk) {
            if !self.goes_on(desk) {
                return;
            }
            if !self.has_room(desk, &repository) {
                continue;
            }
            let moves = self.query.history.moves(&repository);
            let began = Instant::now();
            let mut wanted = self.query.notices(&repository).await;
            if !(self.wanted)() {
                wanted.iter_mut().for_each(|run| run.notice = None);
            }
            let look = desk.look(&repository, began);
            let due = look.book.compare(wanted, began, Timestamp::now().as_second(), &self.pace);
            (look.at, look.moves) = (began, moves);
            let took = began.elapsed();
            let is_behind = self.write_all(desk, &repository, due).await;
            desk.look(&repository, began).is_behind = is_behind;
            sleep((took * self.pace.looking.saturating_sub(1)).min(REST_MOST)).await;
        }
    }

    /// The repositories to look at, those first that were looked at longest ago.
    fn to_look_at(&self, desk: &mut Desk) -> Vec<RepositoryKey> {
        let now = Instant::now();
        let known: HashSet<RepositoryKey> = self.query.index.with_notices((self.wanted)()).into_iter().collect();
        desk.looks.retain(|repository, _| known.contains(repository));
        let (moved, unmoved) = self.pace.looks;
        let is_due = |repository: &RepositoryKey| {
            let Some(look) = desk.looks.get(repository) else { return true };
            let since = now.saturating_duration_since(look.at);
            let has_moved = || look.moves != self.query.history.moves(repository);
            look.is_behind
                || since >= unmoved
                || look.book.next().is_some_and(|next| next <= now)
                || since >= moved && has_moved()
        };
        let mut due: Vec<_> = known.into_iter().filter(is_due).collect();
        due.sort_by_key(|repository| desk.looks.get(repository).map(|look| look.at));
        due
    }

    /// Writes those whose turn it is, as many as two seconds allow; says whether some are left.
    async fn write_all(&self, desk: &mut Desk, repository: &RepositoryKey, due: Vec<Due>) -> bool {
        let mut left = due.len();
        for Due { run, notice, .. } in due.into_iter().take(self.pace.rate as usize * 2) {
            if !self.goes_on(desk) || !self.has_room(desk, repository) || !self.turn_comes(desk).await {
                break;
            }
            left -= 1;
            // It may have got its slot since.
            if notice.is_none() || self.query.index.may_be_noticed(repository, &run) {
                self.write(desk, repository, &run, notice).await;
            }
        }
        put_off(left as u64);
        left > 0
    }

    /// Waits until there is a write left, and then for a moment without starts; says no if none comes.
    async fn turn_comes(&self, desk: &mut Desk) -> bool {
        while let Err(wait) = desk.budget.take(Instant::now()) {
            sleep(wait).await;
        }
        let (within, step) = QUIET_WITHIN;
        let began = Instant::now();
        while !self.query.index.starts().is_quiet(Instant::now()) {
            if began.elapsed() >= within {
                return false;
            }
            sleep(step).await;
        }
        true
    }

    async fn write(&self, desk: &mut Desk, repository: &RepositoryKey, run: &RunKey, notice: Option<Notice>) {
        let began = Instant::now();
        let outcome = match &notice {
            Some(notice) => put_notice(&self.query.client, run, notice).await,
            None => take_notice(&self.query.client, run).await,
        };
        let (now, is_put) = (Instant::now(), notice.is_some());
        let says = matches!(outcome, NoticeOutcome::Done).then(|| notice.as_ref().map(Notice::mark));
        if let Some(look) = desk.looks.get_mut(repository) {
            look.book.wrote(run, says, now);
        }
        let is_first = desk.room.note(repository, &outcome, now - began, now);
        let counted = match &outcome {
            NoticeOutcome::Done if is_put => "written",
            NoticeOutcome::Done => "taken_away",
            NoticeOutcome::Past => "past",
            NoticeOutcome::Short(_) | NoticeOutcome::Refused(_) => "failed",
        };
        catalogue::NOTICES.count(&[counted], 1);
        match outcome {
            NoticeOutcome::Refused(why) if is_first => {
                warn!(%repository, %run, why, "could not write onto {run} what it waits for; it is tried again later, on runs of {repository}");
            }
            NoticeOutcome::Refused(why) | NoticeOutcome::Short(why) => {
                debug!(%repository, %run, why, "could not write onto {run} what it waits for");
            }
            NoticeOutcome::Done | NoticeOutcome::Past => {
                debug!(%repository, %run, ?notice, counted, "what {run} waits for")
            }
        }
    }

    /// Takes away whatever runs say, once: the system is switched off, and nobody keeps it true.
    async fn clear(&self, desk: &mut Desk) {
        if desk.clear_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        let runs = match list::<PipelineRun>(&self.query.client, ListParams::default().labels(SELECTOR)).await {
            Ok(runs) => runs,
            Err(why) => {
                debug!(why, "can't tell which runs still say what they wait for");
                desk.clear_at = Some(Instant::now() + LIST_AGAIN);
                return;
            }
        };
        let views = runs.iter().filter_map(|run| run_view(run, None).ok());
        for view in views.filter(|view| view.notice.is_some()) {
            if !self.leads() || !matches!(self.query.active_store.system(), System::Off) {
                return;
            }
            if desk.room.is_open(Instant::now()) && self.turn_comes(desk).await {
                self.write(desk, &view.repository, &view.key, None).await;
            }
        }
        // What could not be written is listed again.
        desk.clear_at = (!desk.room.is_open(Instant::now())).then(|| Instant::now() + LIST_AGAIN);
    }
}

fn put_off(writes: u64) {
    catalogue::NOTICES.count(&["put_off"], writes);
}

// === impl Desk ===

impl Desk {
    fn new(pace: &Pace) -> Self {
        let now = Instant::now();
        let (budget, room) = (Budget::new(pace.rate, now), Room::default());
        Self { looks: HashMap::new(), budget, room, clear_at: Some(now), stands_in: None }
    }

    fn look(&mut self, repository: &RepositoryKey, now: Instant) -> &mut Look {
        let begin = || Look { book: Book::default(), at: now, moves: 0, is_behind: false };
        self.looks.entry(repository.clone()).or_insert_with(begin)
    }
}
