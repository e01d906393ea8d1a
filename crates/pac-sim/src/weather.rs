//! What strikes requests on their way: faults of the API server, of the store, and of the networks to both.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use rand::Rng;
use tokio::time::Instant;

/// To whom a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The API server.
    Api,
    /// The store.
    Store,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// It is refused; nothing happens. With the API server by this status, with a store as unavailable.
    Refused(u16),
    /// It is a start, and an admission webhook denies it; of the API server alone.
    Denied,
    /// It is a start, and an admission webhook takes so many milliseconds; of the API server alone.
    SlowWebhook(u16),
    /// It is lost on its way, which the caller notices; nothing happens.
    LostBefore,
    /// It is carried out, and the connection breaks before the answer comes.
    LostAfter,
    /// It is swallowed; no answer comes.
    SilentBefore,
    /// It is carried out; no answer comes.
    SilentAfter,
    /// It takes so many milliseconds to arrive.
    Late(u16),
    /// Its answer takes so many milliseconds to arrive.
    LateAnswer(u16),
    /// It is carried out once its caller has given up; with the API server, once the connection broke, within a request's deadline.
    TooLate,
}

/// For a while some of the requests of one watcher, or of all, go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gust {
    pub(crate) side: Side,
    /// The number of a watcher; of all if there is none.
    pub(crate) whose: Option<usize>,
    pub(crate) fault: Fault,
    /// How many of 1,000 requests are struck.
    pub(crate) share: u32,
}

/// The gusts there are, and what they have struck so far.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    gusts: Mutex<Vec<(Instant, Gust)>>,
    strikes: Mutex<BTreeMap<&'static str, usize>>,
}

// === impl Fault ===

impl Fault {
    fn name(self, side: Side) -> &'static str {
        match (side, self) {
            (Side::Api, Self::Refused(_)) => "requests refused (409, 429, 500, 503)",
            (_, Self::Denied) => "starts denied",
            (_, Self::SlowWebhook(_)) => "starts late",
            (Side::Api, Self::LostBefore) => "requests lost",
            (Side::Api, Self::LostAfter) => "answers lost",
            (Side::Api, Self::SilentBefore) => "requests swallowed",
            (Side::Api, Self::SilentAfter) => "answers swallowed",
            (Side::Api, Self::TooLate) => "requests carried out after their connection broke",
            (Side::Api, Self::Late(_)) => "requests late",
            (Side::Api, Self::LateAnswer(_)) => "answers late",
            (Side::Store, Self::Refused(_)) => "store: calls refused",
            (Side::Store, Self::LostBefore) => "store: calls lost",
            (Side::Store, Self::LostAfter) => "store: answers lost",
            (Side::Store, Self::SilentBefore) => "store: calls swallowed",
            (Side::Store, Self::SilentAfter) => "store: answers swallowed",
            (Side::Store, Self::Late(_)) => "store: calls late",
            (Side::Store, Self::LateAnswer(_)) => "store: answers late",
            (Side::Store, Self::TooLate) => "store: carried out after its caller gave up",
        }
    }
}

// === impl Weather ===

impl Weather {
    /// `gust` blows for so long from now.
    pub(crate) fn blow(&self, gust: Gust, lasts: Duration) {
        self.gusts.lock().push((Instant::now() + lasts, gust));
    }

    /// All gusts are over.
    pub(crate) fn calm(&self) {
        self.gusts.lock().clear();
    }

    /// What happens to the next request of watcher `whose`, which may start a run, if anything does.
    pub(crate) fn strike(&self, side: Side, whose: usize, is_start: bool) -> Option<Fault> {
        let mut gusts = self.gusts.lock();
        let now = Instant::now();
        gusts.retain(|(over, _)| *over > now);
        let is_meant = |gust: &Gust| is_start || !matches!(gust.fault, Fault::Denied | Fault::SlowWebhook(_));
        let concerns = |gust: &Gust| gust.side == side && gust.whose.is_none_or(|whom| whom == whose) && is_meant(gust);
        let strikes = |gust: &Gust| rand::rng().random_range(0..1_000) < gust.share;
        let struck = gusts.iter().find(|(_, gust)| concerns(gust) && strikes(gust)).map(|(_, gust)| gust.fault)?;
        self.count(struck.name(side));
        Some(struck)
    }

    /// Counts a fault of another kind.
    pub(crate) fn count(&self, what: &'static str) {
        *self.strikes.lock().entry(what).or_default() += 1;
    }

    /// The faults so far, by kind.
    pub(crate) fn strikes(&self) -> BTreeMap<&'static str, usize> {
        self.strikes.lock().clone()
    }
}

/// How long something takes on a network on which nothing is wrong.
pub(crate) fn usual_delay() -> Duration {
    Duration::from_micros(rand::rng().random_range(100..3_000))
}
