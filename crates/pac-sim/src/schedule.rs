//! What happens in a simulation besides the work itself, and when: drawn from the seed before anything begins.
//!
//! A step stands on its own: whom it concerns is found when its time comes. So any of them can be left out, and the rest is still a schedule:
//! that is how a failing one is shortened.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::scenario::Scenario;
use crate::weather::{Fault, Gust, Side};

/// How long blows fall, and then how long none do: whoever is struck more often than he can recover shows nothing.
pub(crate) const GUST: Duration = Duration::from_secs(20);
pub(crate) const LULL: Duration = Duration::from_secs(20);
/// How long after a gust everybody knows again how things are.
pub(crate) const RECOVERED_AFTER: Duration = Duration::from_secs(14);
/// How long after a gust watchers are still held at the most.
const HELD_AFTER: Duration = Duration::from_secs(5);

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) at: Duration,
    pub(crate) action: Action,
}

/// What a user, an operator or fate does. `repository` and `watcher` are numbers, `pick` chooses among what there is then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Push {
        repository: usize,
        runs: usize,
        is_pull_request: bool,
    },
    Cancel {
        repository: usize,
        pick: usize,
        wish: &'static str,
    },
    CancelPullRequest {
        repository: usize,
    },
    DeleteRun {
        repository: usize,
        pick: usize,
    },
    /// It is made again under its name, once it is gone.
    RecreateRun {
        repository: usize,
        pick: usize,
    },
    Limit {
        repository: usize,
        limit: Option<u64>,
    },
    DeleteRepository {
        repository: usize,
        again_after: Duration,
    },
    /// An operator's pause.
    Pause {
        repository: usize,
        lasts: Duration,
    },
    /// An operator has a run's slot go to others.
    Release {
        repository: usize,
        pick: usize,
    },
    /// The limit of those that have none of their own.
    GlobalLimit {
        limit: Option<u64>,
    },
    /// An operator's pause of everything.
    PauseAll {
        lasts: Duration,
    },
    /// The whole system is off.
    SwitchOff {
        lasts: Duration,
    },
    /// The Git provider takes no status, and so PAC queues nobody.
    ProviderRefuses {
        lasts: Duration,
    },
    /// PAC's own watcher is restarted, and its queue forgotten.
    PacRestarts {
        lasts: Duration,
    },
    /// Other settings of the store in use: the watchers connect anew.
    Settings {
        connections: u32,
    },
    /// Another store.
    Move,
    /// Somebody asks the watchers who waits and who runs.
    Ask,
    Weather {
        gust: Gust,
        lasts: Duration,
    },
    /// A process ends at once, and another takes its place.
    Crash {
        watcher: usize,
        away: Duration,
    },
    /// A process is asked to end, and another takes its place.
    Stop {
        watcher: usize,
        away: Duration,
    },
    CutWatches {
        watcher: usize,
    },
    /// What its watches say arrives so much later.
    Lag {
        watcher: usize,
        lasts: Duration,
    },
    /// For so long it reaches nobody and nobody reaches it, and nothing that was sent is lost.
    Hold {
        watcher: usize,
        lasts: Duration,
    },
    CloseWatches,
    ExpireVersions,
    PauseWatches {
        lasts: Duration,
    },
    TektonAway {
        lasts: Duration,
    },
    StoreAway {
        lasts: Duration,
    },
    /// A standby takes over, which missed so many of the last commits.
    FailOver {
        missed: usize,
    },
    /// It is as a backup has it.
    Restore,
    LeasesEnd,
}

// === impl Action ===

impl Action {
    /// The number of the Repository that it concerns, if it concerns one.
    pub(crate) fn repository(&self) -> Option<usize> {
        match self {
            Self::Push { repository, .. }
            | Self::Cancel { repository, .. }
            | Self::CancelPullRequest { repository }
            | Self::DeleteRun { repository, .. }
            | Self::RecreateRun { repository, .. }
            | Self::Limit { repository, .. }
            | Self::DeleteRepository { repository, .. }
            | Self::Release { repository, .. }
            | Self::Pause { repository, .. } => Some(*repository),
            _ => None,
        }
    }

    /// What kind of thing it is: of gusts that of their fault, too.
    pub(crate) fn kind(&self) -> String {
        let first_word = |told: String| told.split([' ', '(']).next().unwrap_or_default().to_owned();
        match self {
            Self::Weather { gust, .. } => format!("{:?} {}", gust.side, first_word(format!("{:?}", gust.fault))),
            other => first_word(format!("{other:?}")),
        }
    }
}

/// What kinds of things happen. In half of the seeds it is all of them; else some of each sort, which meet each other more often then: what it takes
/// several of in a few seconds hardly ever comes about among thirty.
struct Kinds {
    are_all: bool,
    drawn: BTreeMap<String, bool>,
}

// === impl Kinds ===

impl Kinds {
    fn draw(random: &mut StdRng) -> Self {
        Self { are_all: random.random_bool(0.5), drawn: BTreeMap::new() }
    }

    fn has(&mut self, action: &Action, random: &mut StdRng) -> bool {
        // Without these nothing goes on, or nobody asks how.
        let is_always = matches!(action, Action::Push { .. } | Action::Ask);
        self.are_all || is_always || *self.drawn.entry(action.kind()).or_insert_with(|| random.random_bool(0.35))
    }
}

/// Whether nothing has gone wrong for so long at this time that everybody knows how things are.
pub(crate) fn is_calm(at: Duration) -> bool {
    at.as_millis() % (GUST + LULL).as_millis() > (GUST + RECOVERED_AFTER).as_millis()
}

/// How long it is until what begins with `action` is over, as far as watchers hear late or nothing because of it.
pub(crate) fn unrest(action: &Action) -> Duration {
    match action {
        Action::Weather { lasts, .. } | Action::Hold { lasts, .. } => *lasts,
        _ => Duration::ZERO,
    }
}

/// All that happens, in order.
pub(crate) fn draw(scenario: &Scenario) -> Vec<Step> {
    // Chance of its own: what the program under test draws follows from the same seed.
    let mut random = StdRng::seed_from_u64(scenario.seed ^ 0x005c_4ed0_1e00_u64);
    let mut steps = Vec::new();
    let mut at = Duration::from_secs(3);
    let mut kinds = Kinds::draw(&mut random);
    while at < scenario.lasts {
        let into_it = Duration::from_millis((at.as_millis() % (GUST + LULL).as_millis()) as u64);
        let action = if into_it < GUST && random.random_bool(0.7) {
            until_lull(trouble(scenario, &mut random), into_it)
        } else if random.random_bool(if is_calm(at) { 0.1 } else { 0.02 }) {
            Action::Ask
        } else {
            doing(scenario, &mut random)
        };
        let is_quiet = !scenario.is_mild && into_it >= GUST + HELD_AFTER;
        if (is_quiet && begins_anew(&action)) || !kinds.has(&action, &mut random) {
            continue;
        }
        let follow = follow_up(&action, &mut random).into_iter();
        steps.extend(follow.map(|(after, action)| Step { at: at + after, action }));
        steps.push(Step { at, action });
        at += Duration::from_millis(random.random_range(50..500));
    }
    // Of a shorter one the steps are the first of these.
    steps.retain(|step| step.at < scenario.lasts);
    steps.sort_by_key(|step| step.at);
    steps
}

/// What comes of it now and then, and how much later.
fn follow_up(action: &Action, random: &mut StdRng) -> Vec<(Duration, Action)> {
    match *action {
        // Somebody sees what it does, and changes it again.
        Action::Limit { repository, .. } if random.random_bool(0.5) => {
            vec![(milliseconds(random, 50, 4_000), Action::Limit { repository, limit: limit(random) })]
        }
        // Who was away for long can't go on from where it was, lists anew with all the others, and is asked meanwhile.
        Action::Hold { watcher, lasts } if random.random_bool(0.5) => {
            let fault = Fault::Late(random.random_range(1_000..9_000));
            let busy = Gust { side: Side::Api, whose: Some(watcher), fault, share: 900 };
            let (soon, later) = (Duration::from_millis(100), milliseconds(random, 300, 5_000));
            vec![
                (lasts.saturating_sub(soon), Action::ExpireVersions),
                (lasts.saturating_sub(soon), Action::Weather { gust: busy, lasts: later }),
                (lasts + later / 2, Action::Ask),
                (lasts + later, Action::Ask),
            ]
        }
        _ => Vec::new(),
    }
}

/// What users and operators do.
fn doing(scenario: &Scenario, random: &mut StdRng) -> Action {
    let repository = random.random_range(0..scenario.repositories);
    let pick = random.random_range(0..1_000);
    match random.random_range(0..34) {
        0..=9 => {
            let runs = random.random_range(1..7) * if scenario.is_crowded { 12 } else { 1 };
            Action::Push { repository, runs, is_pull_request: random.random_bool(0.5) }
        }
        10..=12 => Action::Limit { repository, limit: limit(random) },
        13..=15 => {
            let wish = ["Cancelled", "CancelledRunFinally", "StoppedRunFinally"][random.random_range(0..3)];
            Action::Cancel { repository, pick, wish }
        }
        16 => Action::CancelPullRequest { repository },
        17..=18 => Action::DeleteRun { repository, pick },
        19..=20 => Action::RecreateRun { repository, pick },
        21..=22 => Action::DeleteRepository { repository, again_after: milliseconds(random, 100, 6_000) },
        23..=24 => Action::Pause { repository, lasts: milliseconds(random, 500, 10_000) },
        25..=26 => Action::Release { repository, pick },
        27 => Action::GlobalLimit { limit: [None, Some(1), Some(3)][random.random_range(0..3)] },
        28 => Action::PauseAll { lasts: milliseconds(random, 500, 5_000) },
        // In companion mode PAC has a queue of its own then, which keeps no promises of ours.
        29 if !scenario.companion => Action::SwitchOff { lasts: milliseconds(random, 500, 5_000) },
        30 => Action::ProviderRefuses { lasts: milliseconds(random, 100, 2_000) },
        31 if scenario.companion => Action::PacRestarts { lasts: milliseconds(random, 100, 5_000) },
        _ if scenario.moves && random.random_bool(0.3) => Action::Move,
        _ => Action::Settings { connections: random.random_range(2..20) },
    }
}

/// Nobody is held for most of a lull: those who are held in gust upon gust would have no time to recover, and nobody takes over.
fn until_lull(action: Action, into_it: Duration) -> Action {
    match action {
        Action::Hold { watcher, lasts } => Action::Hold { watcher, lasts: lasts.min(GUST + HELD_AFTER - into_it) },
        other => other,
    }
}

/// Whether watchers begin anew with it: whoever has slots then is another one, of whose starts none is known for 15 s. In most of a lull nobody
/// does it, since gust upon gust would be bridged by it.
fn begins_anew(action: &Action) -> bool {
    matches!(action, Action::Move | Action::Settings { .. } | Action::SwitchOff { .. })
}

/// What goes wrong.
fn trouble(scenario: &Scenario, random: &mut StdRng) -> Action {
    let watcher = random.random_range(0..scenario.replicas);
    if scenario.is_mild {
        return slowness(scenario, random);
    }
    match random.random_range(0..40) {
        0..=15 => gust(Side::Api, watcher, random),
        16..=23 if scenario.has_server() => gust(Side::Store, watcher, random),
        24..=25 => Action::Crash { watcher, away: milliseconds(random, 0, 4_000) },
        26 => Action::Stop { watcher, away: milliseconds(random, 0, 4_000) },
        27 => Action::CutWatches { watcher },
        28 => {
            // Where there is no other, longer than that would be all that happens.
            let most = if scenario.replicas > 1 { 25_000 } else { 3_000 };
            Action::Hold { watcher, lasts: milliseconds(random, 500, most) }
        }
        29 => Action::Lag { watcher, lasts: milliseconds(random, 100, 8_000) },
        30..=31 => Action::CloseWatches,
        32 => Action::ExpireVersions,
        33 => Action::PauseWatches { lasts: milliseconds(random, 100, 6_000) },
        34 => Action::TektonAway { lasts: milliseconds(random, 500, 6_000) },
        35 if scenario.has_server() => Action::StoreAway { lasts: milliseconds(random, 100, 10_000) },
        36 if scenario.has_server() => Action::FailOver { missed: 0 },
        37 if scenario.has_server() => Action::LeasesEnd,
        38 if scenario.is_lossy => Action::FailOver { missed: random.random_range(1..8) },
        39 if scenario.is_lossy && random.random_bool(0.2) => Action::Restore,
        _ => gust(Side::Api, watcher, random),
    }
}

/// Requests and answers that are late, by less than anybody gives up.
fn slowness(scenario: &Scenario, random: &mut StdRng) -> Action {
    let side = if scenario.has_server() && random.random_bool(0.3) { Side::Store } else { Side::Api };
    let milliseconds_late = random.random_range(20..900);
    let fault =
        if random.random_bool(0.5) { Fault::Late(milliseconds_late) } else { Fault::LateAnswer(milliseconds_late) };
    let gust = Gust { side, whose: None, fault, share: [100, 300, 700][random.random_range(0..3)] };
    Action::Weather { gust, lasts: milliseconds(random, 100, 8_000) }
}

fn gust(side: Side, watcher: usize, random: &mut StdRng) -> Action {
    let fault = match random.random_range(0..14) {
        0..=2 => Fault::Refused([409, 429, 500, 503][random.random_range(0..4)]),
        3 => Fault::LostBefore,
        4..=5 => Fault::LostAfter,
        6 => Fault::SilentBefore,
        7 => Fault::SilentAfter,
        8 => Fault::Late(random.random_range(50..9_000)),
        9 => Fault::LateAnswer(random.random_range(50..9_000)),
        10 => Fault::TooLate,
        _ if side == Side::Store => Fault::TooLate,
        11 => Fault::Denied,
        _ => Fault::SlowWebhook(random.random_range(200..9_000)),
    };
    let whose = random.random_bool(0.6).then_some(watcher);
    let gust = Gust { side, whose, fault, share: [50, 200, 500, 900][random.random_range(0..4)] };
    Action::Weather { gust, lasts: milliseconds(random, 100, 5_000) }
}

/// None in one of five cases.
fn limit(random: &mut StdRng) -> Option<u64> {
    Some(random.random_range(0..5)).filter(|limit| *limit > 0)
}

fn milliseconds(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least..most))
}
