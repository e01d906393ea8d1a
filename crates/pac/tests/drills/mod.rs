//! How long it takes until runs are started again: after each kind of fault, measured from when it began or was over, in
//! the API server's own history.

use std::time::Duration;

use pac_devcluster::verdict::VerdictOptions;
use pac_devcluster::{FaultAction, FaultRule, Version};
use pac_devservers::proxy::{Passage, Proxy};
use serde_json::{Value, json};

use crate::support::{Store, Watcher, World, eventually};

const REPOSITORIES: usize = 10;
const LIMIT: u32 = 2;
/// How long what is away stays away.
const OUTAGE: Duration = Duration::from_secs(10);
/// The same, where it is so long that everything is tried less and less often.
const LONG_OUTAGE: Duration = Duration::from_secs(40);
/// By then runs are started again where whoever was gone was known to be, and where it went without a word.
const SOON: Duration = Duration::from_secs(5);
const AFTER_SILENCE: Duration = Duration::from_secs(30);
/// How much later where the store is one process's memory: a leader that hears nothing lets its Lease run out there.
const LEASE: Duration = Duration::from_secs(15);
/// By then a start that was on its way has arrived.
const ON_ITS_WAY: Duration = Duration::from_secs(1);
/// Runs that are not done, below which there would soon be nothing left to start.
const ENOUGH: usize = 300;

/// A cluster at work, with a watcher that leads and one that stands by.
pub(crate) struct Drills {
    world: World,
    store: Option<Store>,
    network: Option<Proxy>,
    leader: Member,
    standby: Option<Member>,
    incarnations: usize,
    pushed: usize,
    markers: usize,
    figures: Vec<(&'static str, Vec<Duration>)>,
}

/// A watcher, and its way to the API server.
struct Member {
    identity: String,
    watcher: Watcher,
    way: Proxy,
}

// === impl Drills ===

impl Drills {
    /// Everything is set up, and works. Only where the store is shared there is a standby.
    pub(crate) fn new(store: Option<Store>) -> Self {
        let network = store.as_ref().map(|store| Proxy::start(store.port()).unwrap());
        let settings = match (&store, &network) {
            (Some(store), Some(network)) => store.settings_through(network.port()),
            _ => json!({"concurrency-driver": "memory"}),
        };
        let world = World::new(&settings);
        world.work(REPOSITORIES, 0, LIMIT);
        let leader = Member::start(&world, "watcher-0");
        let (incarnations, pushed, markers, figures) = (0, 0, 0, Vec::new());
        let mut drills = Self { world, store, network, leader, standby: None, incarnations, pushed, markers, figures };
        drills.standby = Some(drills.another());
        drills
    }

    /// Every drill so many times, and what came of it as a table.
    pub(crate) fn run(mut self, rounds: usize) {
        self.world.keep_logs_if_asked();
        for _ in 0..rounds {
            self.drill("leader stopped", SOON, Self::stop_leader);
            self.drill("leader killed", AFTER_SILENCE, Self::kill_leader);
            self.drill("API server away, back again", SOON, |drills| drills.refuse_connections(OUTAGE));
            self.drill("API server away for long, back again", SOON, |drills| drills.refuse_connections(LONG_OUTAGE));
            self.drill("API server gone without a word, another there", AFTER_SILENCE, Self::swallow_connections);
            self.drill("API server silent, another there", AFTER_SILENCE, Self::hold_everything);
            let lease = if self.store.is_some() { Duration::ZERO } else { LEASE };
            self.drill("leader deaf, its Lease renewed", AFTER_SILENCE + lease, Self::deafen_leader);
            self.drill("watches closed, versions expired", SOON, Self::close_watches);
            if self.store.is_some() {
                self.drill("store killed, back again", SOON, Self::kill_store);
                self.drill("network to the store closed, open again", SOON, |drills| drills.cut(Passage::Closed));
                self.drill("network to the store held, open again", SOON, |drills| drills.cut(Passage::Held));
            }
        }
        println!("| without any start | median | least | most |\n| --- | ---: | ---: | ---: |");
        for (what, mut times) in self.figures {
            times.sort_unstable();
            let shown = [times[times.len() / 2], times[0], times[times.len() - 1]].map(shown);
            println!("| {what} | {} |", shown.join(" | "));
        }
        let allowed = VerdictOptions {
            ended: false,
            // A start that was lost is overtaken by those behind it that have slots, too, until it is sent again.
            side_by_side: AFTER_SILENCE,
            // And one that was given its slot before others came, and is started after an outage, passes those.
            in_flight: AFTER_SILENCE,
            ..self.world.verdict_options(Duration::from_secs(60))
        };
        let verdict = self.world.cluster.verdict(&allowed);
        println!("{} runs were started", verdict.started);
        assert!(verdict.held(), "{verdict}{verdict:#?}");
    }

    /// `fault` returns the moment from which to measure how long nothing is started: for no longer than `most`.
    fn drill(&mut self, what: &'static str, most: Duration, fault: impl FnOnce(&mut Self) -> Duration) {
        self.tell_apart();
        while self.world.unfinished() < ENOUGH {
            let runs = self.pushed..self.pushed + 40;
            (0..REPOSITORIES).for_each(|repository| self.world.more_work(repository, runs.clone()));
            self.pushed = runs.end;
        }
        let now = self.now();
        eventually("runs are started", || self.next_start(now).is_some());
        let from = fault(self);
        // Whoever was hit may have had a start on its way: what counts is the longest time without one from there on.
        std::thread::sleep(ON_ITS_WAY);
        let until = self.now();
        eventually("runs are started again", || self.next_start(until).is_some());
        let took = self.longest_gap(from, self.next_start(until).unwrap());
        println!("{what}: {}", shown(took));
        match self.figures.iter_mut().find(|(known, _)| *known == what) {
            Some((_, times)) => times.push(took),
            None => self.figures.push((what, vec![took])),
        }
        assert!(took <= most, "{what}: {took:?}");
        // What follows begins with everybody well.
        self.world.cluster.faults().clear();
        self.leader.watcher.becomes_ready(true);
        self.standby.as_mut().unwrap().watcher.becomes_ready(true);
    }

    /// Leadership may have moved meanwhile: the leader is who says so.
    fn tell_apart(&mut self) {
        let standby = self.standby.as_mut().unwrap();
        eventually("one leads", || standby.leads() != self.leader.leads());
        if standby.leads() {
            std::mem::swap(standby, &mut self.leader);
        }
    }

    /// The moment on the history's clock.
    fn now(&mut self) -> Duration {
        self.markers += 1;
        let name = format!("marker-{}", self.markers);
        self.world.cluster.store().create("configmaps", "default", json!({"metadata": {"name": name}})).unwrap();
        let history = self.world.cluster.history();
        history.iter().rev().find(|version| version.name == name).unwrap().at
    }

    /// When the first run was started after `moment`.
    fn next_start(&self, moment: Duration) -> Option<Duration> {
        self.starts().into_iter().find(|start| *start > moment)
    }

    fn longest_gap(&self, from: Duration, to: Duration) -> Duration {
        let starts = self.starts().into_iter().filter(|start| (from..=to).contains(start));
        let moments: Vec<Duration> = std::iter::once(from).chain(starts).collect();
        moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// When runs were started, in order.
    fn starts(&self) -> Vec<Duration> {
        let state =
            |version: &Version| version.object.pointer("/metadata/labels/pipelinesascode.tekton.dev~1state").cloned();
        let is_start = |version: &&Version| {
            version.resource == "pipelineruns"
                && state(version) == Some(Value::from("started"))
                && version.object.pointer("/spec/status").is_none()
                && version.object.pointer("/status/startTime").is_none()
        };
        self.world.cluster.history().iter().filter(is_start).map(|version| version.at).collect()
    }

    fn another(&mut self) -> Member {
        self.incarnations += 1;
        Member::start(&self.world, &format!("watcher-{}", self.incarnations))
    }

    /// The standby leads from now on, and has a standby of its own.
    fn succeed(&mut self) -> Member {
        let successor = self.standby.take().unwrap();
        std::mem::replace(&mut self.leader, successor)
    }

    fn stop_leader(&mut self) -> Duration {
        let from = self.now();
        self.succeed().watcher.stop();
        self.standby = Some(self.another());
        from
    }

    fn kill_leader(&mut self) -> Duration {
        let from = self.now();
        self.succeed().watcher.kill();
        self.standby = Some(self.another());
        from
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        std::iter::once(&self.leader).chain(&self.standby)
    }

    fn refuse_connections(&mut self, outage: Duration) -> Duration {
        self.world.cluster.faults().refuse_connections();
        std::thread::sleep(outage); // the outage itself
        let from = self.now();
        self.world.cluster.faults().accept_connections();
        from
    }

    /// Nothing passes on the connections there are, and none is closed.
    fn swallow_connections(&mut self) -> Duration {
        let from = self.now();
        self.members().for_each(|member| member.way.swallow_connections());
        from
    }

    /// Nothing passes at all for a while, on new connections, either.
    fn hold_everything(&mut self) -> Duration {
        self.members().for_each(|member| member.way.set(Passage::Held));
        std::thread::sleep(OUTAGE * 2); // the outage itself
        let from = self.now();
        for member in self.members() {
            member.way.swallow_connections();
            member.way.set(Passage::Open);
        }
        from
    }

    /// It goes on renewing its Lease.
    fn deafen_leader(&mut self) -> Duration {
        let from = self.now();
        for verb in ["list", "watch"] {
            let unanswered = FaultRule::new(FaultAction::NeverAnswer).verb(verb).resource("pipelineruns");
            self.world.cluster.faults().add(unanswered.caller(&self.leader.identity));
        }
        self.world.cluster.faults().close_watches();
        // Until then it may find one to start by other ways, long after it fell silent.
        let standby = self.standby.as_ref().unwrap();
        eventually("another leads", || standby.leads());
        from
    }

    fn close_watches(&mut self) -> Duration {
        let from = self.now();
        self.world.cluster.faults().expire_versions();
        self.world.cluster.faults().close_watches();
        from
    }

    fn kill_store(&mut self) -> Duration {
        self.store.as_mut().unwrap().kill();
        std::thread::sleep(OUTAGE); // the outage itself
        self.store.as_mut().unwrap().restart();
        self.now()
    }

    fn cut(&mut self, passage: Passage) -> Duration {
        self.network.as_ref().unwrap().set(passage);
        std::thread::sleep(OUTAGE); // the outage itself
        let from = self.now();
        self.network.as_ref().unwrap().set(Passage::Open);
        from
    }
}

// === impl Member ===

impl Member {
    /// Returns once it is ready.
    fn start(world: &World, identity: &str) -> Self {
        let (mut watcher, way) = world.remote_watcher(identity, &[]);
        watcher.becomes_ready(true);
        Self { identity: identity.to_owned(), watcher, way }
    }

    fn leads(&self) -> bool {
        Watcher::get(self.watcher.metrics_port, "/metrics").lines().any(|line| line == "pac_concurrency_leader 1")
    }
}

fn shown(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
