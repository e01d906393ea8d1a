//! What clients do: they load and commit, as a watcher does and worse, and note when they asked what and what they were answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use pac_concurrency::{
    Delta, Driver, DriverError, Entry as StoredEntry, Holder, OrderKey, RepositoryKey, RunKey, Snapshot, Version,
    Window,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};

use crate::history::{Change, Client, Entry, Number, Operation, Outcome, Record, Run, Seen};
use crate::linearizability::Call;

/// How long a client waits for an answer before it drops the call, unless it is an impatient one.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a client tries to see what there is in the end.
const TRIES: usize = 20;
/// Runs of a repository. Few, so that clients get in each other's way.
const RUNS: Run = 12;
/// Runs of the repository that has large commits.
const MANY_RUNS: Run = 160;
/// The least runs of a large commit.
const LARGE: usize = 70;

/// What all clients share.
#[derive(Debug)]
pub(crate) struct Work {
    began: Instant,
    repositories: Vec<RepositoryKey>,
    /// How many operations are in the history so far.
    asked: AtomicU64,
    /// How many calls came to nothing, for certain.
    refused: AtomicU64,
    /// How many faults struck so far.
    struck: AtomicU64,
    over: AtomicBool,
}

/// One client.
pub(crate) struct Worker {
    number: Client,
    holder: Holder,
    driver: Arc<dyn Driver>,
    work: Arc<Work>,
    chance: StdRng,
    /// What this client believes of repositories.
    known: HashMap<usize, Known>,
    records: Vec<(usize, Record)>,
}

/// A repository as a client saw it last.
#[derive(Debug, Clone)]
struct Known {
    version: Number,
    held: Vec<Run>,
    waiting: Vec<Run>,
}

// === impl Work ===

impl Work {
    /// On so many repositories, of which the first has large commits.
    pub(crate) fn new(repositories: usize) -> Result<Self> {
        let named = |number| RepositoryKey::new("judge", &format!("repo-{number}"));
        let repositories = (0..repositories).map(named).collect::<Result<_, _>>()?;
        let (asked, refused, struck, over) = Default::default();
        Ok(Self { began: Instant::now(), repositories, asked, refused, struck, over })
    }

    pub(crate) fn repositories(&self) -> &[RepositoryKey] {
        &self.repositories
    }

    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn struck(&self) -> u64 {
        self.struck.load(Ordering::Relaxed)
    }

    pub(crate) fn note_struck(&self) {
        self.struck.fetch_add(1, Ordering::Relaxed);
    }

    /// Has everybody stop.
    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Nanoseconds since it began, by a clock that all threads share.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

// === impl Worker ===

impl Worker {
    pub(crate) fn new(number: Client, driver: Arc<dyn Driver>, work: Arc<Work>, seed: u64) -> Result<Self> {
        let chance = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(number.into()));
        let (known, records) = (HashMap::new(), Vec::new());
        Ok(Self { number, holder: holder(number)?, driver, work, chance, known, records })
    }

    /// Works until it is over; what it asked and was answered, each with its repository's number.
    ///
    /// # Errors
    ///
    /// If the store says, or shows, what the contract has no room for.
    pub(crate) async fn work(mut self) -> Result<Vec<(usize, Record)>> {
        while !self.work.is_over() {
            let repository = self.chance.random_range(0..self.work.repositories.len());
            let loads = !self.known.contains_key(&repository) || self.chance.random_bool(0.5);
            if loads && !self.load(repository).await? {
                continue;
            }
            if self.chance.random_bool(0.6) {
                self.commit(repository).await?;
            }
        }
        // What is there in the end is judged, too.
        for repository in 0..self.work.repositories.len() {
            for _ in 0..TRIES {
                if self.load(repository).await? {
                    break;
                }
            }
        }
        Ok(self.records)
    }

    async fn load(&mut self, repository: usize) -> Result<bool> {
        let window = self.chance.random_bool(0.5).then(|| self.chance.random_range(0..8));
        let key = &self.work.repositories[repository];
        let asked = self.driver.load(key, window.map_or(Window::Whole, Window::First));
        let called = self.work.now();
        let patience = patience(&mut self.chance);
        let answered = timeout(patience, asked).await;
        let returned = self.work.now();
        let snapshot = match answered {
            Ok(Ok(snapshot)) => snapshot,
            Ok(Err(error)) => return self.refused(error).await.map(|()| false),
            Err(_) => return Ok(false),
        };
        let seen = seen(&snapshot).with_context(|| format!("a load of {key} shows what nobody wrote"))?;
        let runs = |entries: &[Entry]| entries.iter().map(|entry| entry.run).collect();
        let held = seen.slots.iter().map(|(entry, _)| entry.run).collect();
        self.known.insert(repository, Known { version: seen.version, held, waiting: runs(&seen.waiting) });
        self.note(repository, called, Some(returned), Operation::Load { window, seen });
        Ok(true)
    }

    async fn commit(&mut self, repository: usize) -> Result<()> {
        let Some(known) = self.known.get(&repository) else { return Ok(()) };
        let (expected, change) = (known.version, change(&mut self.chance, repository, known));
        let delta = delta(&change)?;
        let key = &self.work.repositories[repository];
        let asked = self.driver.commit(key, Version::new(expected), &self.holder, &delta);
        let called = self.work.now();
        let patience = patience(&mut self.chance);
        let answered = timeout(patience, asked).await;
        let returned = self.work.now();
        let outcome = match answered {
            Ok(Ok(version)) => Outcome::Done(version.number()),
            Ok(Err(DriverError::Conflict)) => Outcome::Conflict,
            Ok(Err(DriverError::Indeterminate(_))) | Err(_) => Outcome::Lost,
            Ok(Err(error)) => return self.refused(error).await,
        };
        match outcome {
            Outcome::Done(version) => drop(self.known.get_mut(&repository).map(|known| known.version = version)),
            // Now and then it insists.
            Outcome::Conflict | Outcome::Lost if self.chance.random_bool(0.8) => drop(self.known.remove(&repository)),
            Outcome::Conflict | Outcome::Lost => {}
        }
        let returned = (outcome != Outcome::Lost).then_some(returned);
        let holder = self.number;
        self.note(repository, called, returned, Operation::Commit { expected, holder, change, outcome });
        Ok(())
    }

    fn note(&mut self, repository: usize, called: u64, returned: Option<u64>, operation: Operation) {
        let call = Call { called, returned, operation };
        self.records.push((repository, Record { client: self.number, call }));
        self.work.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Nothing happened, says the driver; that is believed, and found out if it isn't so.
    async fn refused(&mut self, error: DriverError) -> Result<()> {
        ensure!(matches!(error, DriverError::Unavailable(_)), "client {}: {error}", self.number);
        self.work.refused.fetch_add(1, Ordering::Relaxed);
        // A server that is away is asked again, but not without end.
        sleep(Duration::from_millis(self.chance.random_range(20..150))).await;
        Ok(())
    }
}

/// Some are given up at once, so that answers are lost though nothing fails.
fn patience(chance: &mut StdRng) -> Duration {
    if chance.random_bool(0.01) { Duration::from_micros(chance.random_range(50..5_000)) } else { PATIENCE }
}

/// A change that mostly does something, and sometimes what makes no sense.
fn change(chance: &mut StdRng, repository: usize, known: &Known) -> Change {
    let universe = if repository == 0 { MANY_RUNS } else { RUNS };
    let is_large = repository == 0 && chance.random_bool(0.1);
    let count = if is_large { chance.random_range(LARGE..MANY_RUNS.into()) } else { chance.random_range(1..4) };
    let shift = chance.random_range(0..universe);
    let mut change = Change::default();
    for number in 0..count {
        let run = match is_large {
            true => (shift + number as Run) % universe,
            false => chance.random_range(0..universe),
        };
        let entry = Entry { place: chance.random_range(0..1_000), run };
        let (held, waiting) = (known.held.contains(&run), known.waiting.contains(&run));
        match (held, waiting, chance.random_range(0..10)) {
            (true, _, 0..6) => change.release.push(run),
            (true, _, 6..8) => change.give_back.push(run),
            (false, true, 0..3) => change.release.push(run),
            (false, true, 3..8) | (false, false, 0..2) => change.hold.push(entry),
            (false, false, 2..8) => change.enqueue.push(entry),
            // Whatever becomes of it.
            _ => {
                change.release.push(run);
                change.enqueue.push(entry);
                change.hold.extend(chance.random_bool(0.5).then_some(entry));
            }
        }
    }
    change
}

fn delta(change: &Change) -> Result<Delta> {
    let runs = |runs: &[Run]| runs.iter().map(|&run| run_key(run)).collect::<Result<_>>();
    let stored = |entry: &Entry| Ok(StoredEntry::new(run_key(entry.run)?, OrderKey::alone(entry.place.into())));
    let entries = |entries: &[Entry]| entries.iter().map(stored).collect::<Result<_>>();
    Ok(Delta {
        release: runs(&change.release)?,
        give_back: runs(&change.give_back)?,
        enqueue: entries(&change.enqueue)?,
        hold: entries(&change.hold)?,
    })
}

fn run_key(run: Run) -> Result<RunKey> {
    // Names of one length sort as their numbers do.
    Ok(RunKey::new("judge", &format!("run-{run:05}"), "uid")?)
}

fn holder(client: Client) -> Result<Holder> {
    Ok(Holder::parse(&format!("client:{client}"))?)
}

fn seen(snapshot: &Snapshot) -> Result<Seen> {
    if let Some(corrupt) = snapshot.corrupt.first() {
        bail!("{}: {}", corrupt.place, corrupt.why);
    }
    let holder = |holder: &Holder| -> Result<Client> {
        let number = holder.as_str().strip_prefix("client:").with_context(|| format!("{holder} is no client"))?;
        Ok(number.parse()?)
    };
    let slots = snapshot.slots.values().map(|slot| Ok((entry(&slot.entry)?, holder(&slot.holder)?)));
    Ok(Seen {
        version: snapshot.version.number(),
        slots: slots.collect::<Result<_>>()?,
        waiting: snapshot.waiting.iter().map(entry).collect::<Result<_>>()?,
        waiting_count: snapshot.waiting_count,
        whole: snapshot.whole,
    })
}

fn entry(stored: &StoredEntry) -> Result<Entry> {
    let (run, order) = (&stored.run, stored.order);
    let number = run.name().strip_prefix("run-").with_context(|| format!("{run} is no run"))?.parse()?;
    let place = u32::try_from(order.created)?;
    let is_whole = run_key(number)? == *run && order == OrderKey::alone(order.created);
    ensure!(is_whole, "{run} with uid {} at {order:?} was never enqueued", run.uid());
    Ok(Entry { place, run: number })
}
