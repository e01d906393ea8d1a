//! A storm: faults and users' doings at random, each undone in time, and the verdict when all is calm again.

mod faults;
mod servers;
mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use pac_devcluster::verdict::VerdictOptions;
use pac_devservers::proxy::{Passage, Proxy};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

pub(crate) use self::servers::Servers;
use self::users::Users;
use crate::support::{Watcher, World};

const REPOSITORIES: usize = 12;
/// How long blows fall, and then how long none do: watchers that are killed more often than one can take over show nothing.
const GUST: Duration = Duration::from_secs(20);
const LULL: Duration = Duration::from_secs(20);
/// In seconds, as watchers are told: how long the others wait for a leader.
const LEADER_LEASE: &str = "5";
/// How long nothing may happen in the calm after the storm.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StormOptions {
    pub(crate) seed: u64,
    pub(crate) lasts: Duration,
    pub(crate) replicas: usize,
}

/// What has to be undone, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undo {
    Watcher(usize),
    Thaw(usize),
    Servers,
    Network,
    Slowness,
    Watches,
    ApiServer,
    Tekton,
    Repository(usize),
    /// A run of a Repository was deleted, to be made again.
    Run(usize, usize),
}

/// What storms that broke no promise amounted to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    storms: usize,
    counts: BTreeMap<&'static str, usize>,
    runs: usize,
    started: usize,
    /// How long after a storm all work was done, at most.
    slowest_calm: Duration,
}

/// See the [module](self).
pub(crate) struct Storm {
    options: StormOptions,
    // Dropped first: when a test fails they show their logs, which are in the world's folder.
    watchers: Vec<Option<Watcher>>,
    world: World,
    servers: Option<Servers>,
    /// The way to each of them.
    networks: Vec<Proxy>,
    users: Users,
    random: StdRng,
    to_undo: Vec<(Instant, Undo)>,
    counts: BTreeMap<&'static str, usize>,
    incarnations: usize,
}

// === impl Storm ===

impl Storm {
    /// Everything is set up, and watchers work.
    pub(crate) fn new(options: StormOptions, servers: Option<Servers>) -> Self {
        let ports = servers.as_ref().map(Servers::ports).unwrap_or_default();
        let networks: Vec<Proxy> = ports.into_iter().map(|port| Proxy::start(port).unwrap()).collect();
        let mut settings = match &servers {
            Some(servers) => servers.settings_through(networks.iter().map(Proxy::port)),
            None => json!({"concurrency-driver": "memory"}),
        };
        for key in ["postgresql-lease-ttl", "etcd-lease-ttl", "memory-lease-ttl"] {
            settings[key] = "10s".into();
        }
        settings["postgresql-connection-timeout"] = "5s".into();
        let world = World::with_pac(&settings);
        let mut storm = Self {
            options,
            world,
            servers,
            networks,
            watchers: Vec::new(),
            users: Users::new(REPOSITORIES),
            random: StdRng::seed_from_u64(options.seed),
            to_undo: Vec::new(),
            counts: BTreeMap::new(),
            incarnations: 0,
        };
        (0..REPOSITORIES).for_each(|number| storm.users.arrive(&storm.world, number));
        for number in 0..options.replicas {
            storm.watchers.push(None);
            storm.start_watcher(number);
        }
        storm
    }

    /// Rages, calms down, judges, and adds what it was to `tally`.
    pub(crate) fn rage(mut self, tally: &mut Tally) {
        println!("storm of seed {}, {:?}, {} watchers", self.options.seed, self.options.lasts, self.options.replicas);
        let began = Instant::now();
        while began.elapsed() < self.options.lasts {
            self.undo(Instant::now());
            self.tend();
            let gust = began.elapsed().as_secs() % (GUST + LULL).as_secs() < GUST.as_secs();
            let users = self.random.random_bool(0.5);
            let what = if users || !gust { self.users_do_something() } else { self.something_fails() };
            if let Some(what) = what {
                *self.counts.entry(what).or_default() += 1;
            }
            let pause = self.random.random_range(50..500);
            std::thread::sleep(Duration::from_millis(pause)); // time passes between blows
        }
        self.world.keep_logs_if_asked();
        let began = Instant::now();
        self.calm();
        println!("calm {:.1} s after the storm", began.elapsed().as_secs_f64());
        tally.slowest_calm = tally.slowest_calm.max(began.elapsed());
        self.judge(tally);
    }

    /// Undoes everything that is due.
    fn undo(&mut self, now: Instant) {
        let (due, later): (Vec<_>, Vec<_>) = self.to_undo.drain(..).partition(|(when, _)| *when <= now);
        self.to_undo = later;
        due.into_iter().for_each(|(_, undo)| self.undo_now(undo));
    }

    fn tend(&mut self) {
        if let Some(servers) = &mut self.servers {
            servers.tend();
        }
    }

    fn undo_now(&mut self, undo: Undo) {
        match undo {
            Undo::Watcher(number) => self.start_watcher(number),
            Undo::Thaw(number) => {
                if let Some(watcher) = &self.watchers[number] {
                    watcher.signal("CONT");
                }
            }
            Undo::Servers => {
                if let Some(servers) = &mut self.servers {
                    servers.mend();
                }
            }
            Undo::Network => self.networks.iter().for_each(|network| network.set(Passage::Open)),
            Undo::Slowness => self.networks.iter().for_each(|network| network.slow_down(Duration::ZERO)),
            Undo::Watches => self.world.cluster.faults().resume_watches(),
            Undo::ApiServer => self.world.cluster.faults().clear(),
            Undo::Tekton => self.world.cluster.faults().tekton_returns(),
            Undo::Run(number, run) => {
                if !self.users.make_again(&self.world, number, run) {
                    self.undo_after(undo, 500, 1_000);
                }
            }
            Undo::Repository(number) => self.users.create_repository(&self.world, number, &mut self.random),
        }
    }

    /// Notes that `undo` is due after between `least` and `most` milliseconds.
    fn undo_after(&mut self, undo: Undo, least: u64, most: u64) {
        let after = Duration::from_millis(self.random.random_range(least..most));
        self.to_undo.push((Instant::now() + after, undo));
    }

    fn is_to_be_undone(&self, undo: Undo) -> bool {
        self.to_undo.iter().any(|(_, other)| *other == undo)
    }

    /// As a new pod: under a name of its own.
    fn start_watcher(&mut self, number: usize) {
        self.incarnations += 1;
        let identity = format!("watcher-{number}-{}", self.incarnations);
        let arguments = ["--mode", "companion", "--leader-lease", LEADER_LEASE];
        self.watchers[number] = Some(self.world.watcher_with(&identity, &arguments));
    }

    /// Everything is undone, and all work is done.
    fn calm(&mut self) {
        std::mem::take(&mut self.to_undo).into_iter().for_each(|(_, undo)| self.undo_now(undo));
        self.world.cluster.faults().clear();
        self.world.cluster.faults().resume_watches();
        let mut last = (self.world.unfinished(), Instant::now());
        while last.0 > 0 || !self.users.are_served() {
            assert!(
                last.1.elapsed() < PATIENCE,
                "{} runs are not done, and nothing happens\n{:#?}",
                last.0,
                self.world.verdict(PATIENCE)
            );
            self.tend();
            std::thread::sleep(Duration::from_millis(100)); // what is awaited is the watchers' doing
            let now = self.world.unfinished();
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
    }

    fn judge(mut self, tally: &mut Tally) {
        let mut allowed = VerdictOptions::in_storms(GUST, LULL);
        // Who was struck at the end of a gust is out of order for as long, and then another has yet to take over.
        allowed.longest_gap += self.servers.as_ref().map(Servers::recover_within).unwrap_or_default();
        let verdict = self.world.cluster.verdict(&allowed);
        println!("{:?}", self.counts);
        println!(
            "{} runs, {} started from the queue; hand-off median {:.1} ms, p99 {:.1} ms",
            verdict.runs, verdict.started, verdict.hand_off.median, verdict.hand_off.p99
        );
        print!("{verdict}");
        let violations = verdict.promises.iter().flat_map(|promise| &promise.violations);
        let namespaces: BTreeSet<&str> =
            violations.filter_map(|violation| Some(violation.split_once('/')?.0)).collect();
        namespaces.into_iter().for_each(|namespace| println!("{}", self.world.story(namespace)));
        assert!(verdict.held(), "seed {}: {verdict:#?}", self.options.seed);
        self.watchers.iter_mut().flatten().for_each(Watcher::stop);
        tally.storms += 1;
        tally.runs += verdict.runs;
        tally.started += verdict.started;
        self.counts.into_iter().for_each(|(what, count)| *tally.counts.entry(what).or_default() += count);
    }
}

// === impl Tally ===

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calm = self.slowest_calm.as_secs_f64();
        write!(
            f,
            "{} storms: {} runs, {} started from the queue, no promise broken; all done {calm:.1} s after a storm at most",
            self.storms, self.runs, self.started
        )?;
        self.counts.iter().try_for_each(|(what, count)| write!(f, "\n{count:>8} {what}"))
    }
}
