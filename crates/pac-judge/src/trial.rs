//! One trial: clients at work on a store, faults beside them, and the histories judged in the end.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use pac_concurrency::Driver;
use pac_devservers::patroni::{Patroni, Replication};
use pac_devservers::proxy::Proxy;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::clients::{Work, Worker};
use crate::failover::FailoverStriker;
use crate::faults::{Faults, Striker};
use crate::history::{History, Operation, Outcome, Record};
use crate::linearizability::Effort;
use crate::options::StoreKind;
use crate::store::{Server, connect};
use crate::verdict::{Breach, judge};

/// Clients that share a driver.
const CLIENTS_OF_A_DRIVER: usize = 3;
/// A change of so many runs may be more than one transaction of etcd's may have, 128 operations: three for each of them.
const LARGE_IN_ETCD: usize = 42;
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Drivers of one store.
type Drivers = Vec<Arc<dyn Driver>>;

/// What a trial is of.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    /// How many operations there are to be, at least.
    pub operations: u64,
    /// How many faults strike the server; none: as many as do meanwhile.
    pub faults: Option<u64>,
    /// How many clients.
    pub clients: u16,
    /// On how many repositories.
    pub repositories: u16,
    /// What is asked and what fails follows from it.
    pub seed: u64,
    /// The longest a fault lasts, and the longest until the next.
    pub faults_last: Duration,
}

/// What was asked and answered in a trial.
#[derive(Debug)]
pub struct Outcomes {
    /// One for each repository.
    pub histories: Vec<History>,
    /// What failed.
    pub faults: Faults,
    /// How many calls came to nothing, by the driver's word.
    pub refused: u64,
    /// How long it took.
    pub took: Duration,
}

/// Which commits of a store may have two versions: those of more runs than this.
pub fn large_in(kind: StoreKind) -> usize {
    match kind {
        StoreKind::Postgresql => usize::MAX,
        StoreKind::Etcd => LARGE_IN_ETCD,
    }
}

// === impl Trial ===

impl Trial {
    /// Has clients work on a real server, which is started for it, while it fails.
    ///
    /// # Errors
    ///
    /// If there is no server to be had, or it says what the contract has no room for.
    pub fn of_server(&self, kind: StoreKind) -> Result<Outcomes> {
        let server = Server::start(kind)?;
        let runtime = Runtime::new()?;
        let (networks, drivers) = self.drivers(&runtime, kind, &[server.port()])?;
        let lasts = u64::try_from(self.faults_last.as_millis())?;
        let chance = StdRng::seed_from_u64(self.seed);
        // The server is there until the clients are done, who may take longer than it is struck.
        let mut striker = Striker { server, networks: Arc::new(networks), chance, lasts };
        self.run(&runtime, &drivers, Some(|work: &Work| striker.strike(work, self.faults)))
    }

    /// Has clients work on a cluster of PostgreSQL servers, which is started for it, while it fails over.
    ///
    /// # Errors
    ///
    /// As [`Trial::of_server`], and if the cluster doesn't become whole again.
    pub fn of_failover(&self, replication: Replication) -> Result<Outcomes> {
        let cluster = Patroni::start(replication)?;
        let runtime = Runtime::new()?;
        let (networks, drivers) = self.drivers(&runtime, StoreKind::Postgresql, &cluster.ports())?;
        let mut striker = FailoverStriker { cluster, networks, chance: StdRng::seed_from_u64(self.seed) };
        self.run(&runtime, &drivers, Some(|work: &Work| striker.strike(work, self.faults)))
    }

    /// Drivers, each with networks of its own to the servers at `ports`.
    fn drivers(&self, runtime: &Runtime, kind: StoreKind, ports: &[u16]) -> Result<(Vec<Proxy>, Drivers)> {
        let drivers = usize::from(self.clients).div_ceil(CLIENTS_OF_A_DRIVER);
        let each = (0..drivers).flat_map(|_| ports.iter().map(|&port| Proxy::start(port)));
        let networks = each.collect::<Result<Vec<_>>>()?;
        let connecting = networks.chunks(ports.len()).map(|networks| {
            let ports: Vec<u16> = networks.iter().map(Proxy::port).collect();
            async move { connect(kind, &ports).await }
        });
        let drivers = runtime.block_on(futures::future::try_join_all(connecting))?;
        Ok((networks, drivers))
    }

    /// Has clients work on these drivers of one store, where nothing fails by our hand.
    ///
    /// # Errors
    ///
    /// If it says what the contract has no room for.
    pub fn of_drivers(&self, drivers: &[Arc<dyn Driver>]) -> Result<Outcomes> {
        self.run(&Runtime::new()?, drivers, None::<fn(&Work) -> Result<Faults>>)
    }

    fn run(
        &self,
        runtime: &Runtime,
        drivers: &[Arc<dyn Driver>],
        strike: Option<impl FnOnce(&Work) -> Result<Faults> + Send>,
    ) -> Result<Outcomes> {
        let began = Instant::now();
        let work = Arc::new(Work::new(self.repositories.into())?);
        let mut workers = Vec::new();
        for number in 0..self.clients {
            let driver = Arc::clone(&drivers[usize::from(number) % drivers.len()]);
            workers.push(runtime.spawn(Worker::new(number, driver, Arc::clone(&work), self.seed)?.work()));
        }
        // What was asked until then is judged.
        runtime.spawn(end_when_asked_to(Arc::clone(&work)));
        let faults = thread::scope(|scope| {
            let struck = &work;
            let striking = strike.map(|strike| scope.spawn(move || strike(struck)));
            self.watch(&work, began, striking.is_some(), || {
                let is_struck = self.faults.is_some_and(|faults| faults <= work.struck());
                let no_longer_strikes = striking.as_ref().is_some_and(thread::ScopedJoinHandle::is_finished);
                (no_longer_strikes && !is_struck) || workers.iter().any(|worker| worker.is_finished())
            });
            work.end();
            let striking = striking.map(|striking| striking.join().map_err(|_| anyhow!("the striker panicked"))?);
            striking.unwrap_or_else(|| Ok(Faults::new()))
        })?;
        let records = runtime.block_on(futures::future::try_join_all(workers))?;
        let records = records.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten();
        let names = work.repositories().iter().map(ToString::to_string);
        let mut histories: Vec<History> = names.map(|repository| History { repository, records: Vec::new() }).collect();
        for (repository, record) in records {
            histories[repository].records.push(record);
        }
        Ok(Outcomes { histories, faults, refused: work.refused(), took: began.elapsed() })
    }

    /// Waits until all operations are done, or somebody ends before, and tells how far it is.
    fn watch(&self, work: &Work, began: Instant, strikes: bool, ended: impl Fn() -> bool) {
        let mut told = Instant::now();
        let faults = self.faults.filter(|_| strikes).unwrap_or_default();
        while (work.asked() < self.operations || work.struck() < faults) && !work.is_over() && !ended() {
            // Nobody tells when the last one is done.
            thread::sleep(Duration::from_millis(20));
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                let (asked, seconds) = (work.asked(), began.elapsed().as_secs());
                eprintln!("{asked} of {} operations in {seconds} s; {} faults", self.operations, work.struck());
            }
        }
    }
}

/// On Ctrl-C and SIGTERM, so that no server is left behind.
async fn end_when_asked_to(work: Arc<Work>) {
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        work.end();
    }
}

// === impl Outcomes ===

impl Outcomes {
    /// Judges every history, several at once; what it took, or those that have no explanation.
    pub fn judge(&self, large: usize) -> Result<Effort, Vec<(&History, Breach)>> {
        judge_all(&self.histories, large)
    }
}

/// Judges every one of `histories`, several at once; what it took, or those that have no explanation.
pub fn judge_all(histories: &[History], large: usize) -> Result<Effort, Vec<(&History, Breach)>> {
    let next = AtomicUsize::new(0);
    let judged = Mutex::new((Effort::default(), Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(history) = histories.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = judge(history, large);
                    let mut judged = judged.lock();
                    match verdict {
                        Ok(effort) => judged.0.note(effort),
                        Err(breach) => judged.1.push((history, breach)),
                    }
                }
            });
        }
    });
    let (effort, breaches) = judged.into_inner();
    if breaches.is_empty() { Ok(effort) } else { Err(breaches) }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = || self.histories.iter().flat_map(|history| &history.records);
        let count =
            |is: fn(&Operation) -> bool| records().filter(|record: &&Record| is(&record.call.operation)).count();
        let outcome = |is: fn(&Outcome) -> bool| {
            records()
                .filter(|record| matches!(&record.call.operation, Operation::Commit { outcome, .. } if is(outcome)))
                .count()
        };
        let loads = count(|operation| matches!(operation, Operation::Load { .. }));
        let (done, conflicts) = (outcome(|it| matches!(it, Outcome::Done(_))), outcome(|it| *it == Outcome::Conflict));
        let lost = outcome(|it| *it == Outcome::Lost);
        writeln!(
            f,
            "{} operations in {:.0} s: {loads} loads, {done} commits, {conflicts} conflicts, {lost} answers lost; {} calls that came \
             to nothing",
            records().count(),
            self.took.as_secs_f64(),
            self.refused
        )?;
        let longest = self.histories.iter().map(|history| history.records.len()).max().unwrap_or_default();
        writeln!(f, "{} repositories, {longest} operations on one at most", self.histories.len())?;
        self.faults.iter().try_for_each(|(what, count)| writeln!(f, "{count:>6} {what}"))
    }
}
