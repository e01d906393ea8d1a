//! The load: tasks that take slots and give them back, through the manager, as fast as they get them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pac_concurrency::{Driver, Limit, Manager, ManagerOptions, RepositoryKey, RunKey, Window};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::queue::{Queue, Wish};
use super::shape::Shape;
use crate::statistic::Times;

/// What one run of the load came to.
#[derive(Debug)]
pub(super) struct Load {
    /// Slots taken and given back, a second.
    pub(super) pairs_per_second: f64,
    /// From wishing for a slot to having it, when it was free or became so: with all the waiting.
    pub(super) acquire: Times,
    /// From giving a slot back to that being written down.
    pub(super) release: Times,
    /// All pairs there were, with those of the warm-up.
    pub(super) pairs: u64,
    /// The commits they took.
    pub(super) commits: u64,
}

/// One repository as its tasks see it.
struct Place {
    wishes: mpsc::UnboundedSender<Wish>,
    limit: u32,
    /// How many hold a slot: counted by those who do, not by the manager.
    holding: AtomicU32,
}

struct Task {
    number: usize,
    places: Vec<Arc<Place>>,
    counting: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
}

#[derive(Default)]
struct Done {
    pairs: u64,
    counted: u64,
    acquire: Times,
    release: Times,
}

/// Has the tasks of `shape` work through a manager on `driver`: for `warm_up`, then, counted, for `time`.
pub(super) async fn run(driver: Arc<dyn Driver>, shape: Shape, warm_up: Duration, time: Duration) -> Result<Load> {
    let manager = Arc::new(Manager::new(Arc::clone(&driver), ManagerOptions::new("bench")));
    manager.keep_term().await?;
    let commits = Arc::new(AtomicU64::new(0));
    let limit = Limit::effective(Some(i64::from(shape.limit)), None);
    let (mut queues, mut places) = (JoinSet::new(), Vec::new());
    for number in 0..shape.repositories {
        let (wishes, wished) = mpsc::unbounded_channel();
        let queue = Queue::new(repository(number)?, limit, Arc::clone(&manager), wished, Arc::clone(&commits));
        queues.spawn(queue.serve());
        places.push(Arc::new(Place { wishes, limit: shape.limit, holding: AtomicU32::new(0) }));
    }
    let (counting, ending) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    for number in 0..shape.tasks {
        let places = shape.repositories_of(number).map(|at| Arc::clone(&places[at])).collect();
        let task = Task { number, places, counting: Arc::clone(&counting), ending: Arc::clone(&ending) };
        tasks.spawn(task.work());
    }
    drop(places);
    tokio::time::sleep(warm_up).await;
    counting.store(true, Ordering::Relaxed);
    let began = Instant::now();
    tokio::time::sleep(time).await;
    counting.store(false, Ordering::Relaxed);
    let took = began.elapsed();
    ending.store(true, Ordering::Relaxed);
    let worked = tokio::time::timeout(Duration::from_secs(30), finish(tasks, queues));
    let mut all = worked.await.context("the work did not end: someone waits for ever (P4)")??;
    for number in 0..shape.repositories {
        let left = driver.load(&repository(number)?, Window::First(1)).await?;
        if !left.slots.is_empty() || left.waiting_count > 0 {
            bail!("P5: {} slots and {} entries were left in the store", left.slots.len(), left.waiting_count);
        }
    }
    manager.end_term().await?;
    all.acquire.sort();
    all.release.sort();
    Ok(Load {
        pairs_per_second: all.counted as f64 / took.as_secs_f64(),
        acquire: all.acquire,
        release: all.release,
        pairs: all.pairs,
        commits: commits.load(Ordering::Relaxed),
    })
}

/// What all tasks did, once they and the queues have ended.
async fn finish(mut tasks: JoinSet<Result<Done>>, mut queues: JoinSet<Result<()>>) -> Result<Done> {
    let mut all = Ok(Done::default());
    while let Some(done) = tasks.join_next().await {
        all = all.and_then(|mut all: Done| {
            all.add(done??);
            Ok(all)
        });
    }
    // A task fails after its queue did, which knows better why.
    while let Some(served) = queues.join_next().await {
        served??;
    }
    all
}

fn repository(number: usize) -> Result<RepositoryKey> {
    Ok(RepositoryKey::new("bench", &format!("repository-{number:04}"))?)
}

// === impl Done ===

impl Done {
    fn add(&mut self, other: Self) {
        self.pairs += other.pairs;
        self.counted += other.counted;
        self.acquire.extend(other.acquire);
        self.release.extend(other.release);
    }
}

// === impl Task ===

impl Task {
    async fn work(self) -> Result<Done> {
        let mut done = Done::default();
        for place in self.places.iter().cycle() {
            if self.ending.load(Ordering::Relaxed) {
                break;
            }
            let run = run_key(self.number, done.pairs)?;
            let began = Instant::now();
            tell(place, |tell| Wish::Acquire(run.clone(), tell)).await?;
            let acquired = began.elapsed();
            if place.holding.fetch_add(1, Ordering::SeqCst) >= place.limit {
                bail!("P1: more than {} hold a slot of one repository", place.limit);
            }
            // To hold it is to let others have a look at that.
            tokio::task::yield_now().await;
            place.holding.fetch_sub(1, Ordering::SeqCst);
            let began = Instant::now();
            tell(place, |tell| Wish::Release(run, tell)).await?;
            done.pairs += 1;
            if self.counting.load(Ordering::Relaxed) {
                done.counted += 1;
                done.acquire.add(acquired);
                done.release.add(began.elapsed());
            }
        }
        Ok(done)
    }
}

async fn tell(place: &Place, wish: impl FnOnce(oneshot::Sender<()>) -> Wish) -> Result<()> {
    let (sender, told) = oneshot::channel();
    place.wishes.send(wish(sender)).ok().context("a queue ended")?;
    told.await.context("a queue ended without an answer")
}

/// A run of its own for each pair. To make up names is no part of what is measured, and costs next to nothing this way.
fn run_key(task: usize, pair: u64) -> Result<RunKey> {
    let mut text = Uuid::encode_buffer();
    let uid = Uuid::from_u64_pair(task as u64, pair).as_hyphenated().encode_lower(&mut text);
    Ok(RunKey::new("bench", uid, uid)?)
}
