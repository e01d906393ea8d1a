//! An operator's pause of a Repository: as long as it lasts, none of its runs is admitted, and those that run go on.
//!
//! It is written onto the Repository itself, as annotations. So Kubernetes' own access rules say who may, its audit log says
//! who did, every driver keeps it, and `kubectl` shows it.

use k8s_openapi::jiff::Timestamp;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Why, in the operator's words.
    pub reason: String,
    /// When it ends.
    pub ends: PauseEnd,
}

/// When a pause ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PauseEnd {
    /// When somebody resumes the Repository.
    Resumed,
    /// At this time, by the clock of the machine the watcher runs on. No promise depends on it.
    At(Timestamp),
    /// The text says when, and can't be read. To go on pausing is the reading of it that does nobody's bidding but the
    /// operator's.
    Unreadable(String),
}

// === impl Pause ===

impl Pause {
    /// The pause that the annotations `paused` and `paused-until` come to, if they come to one.
    ///
    /// Whatever the first says is the reason, but for the one word with which somebody means the contrary.
    pub fn parse(paused: Option<&str>, until: Option<&str>) -> Option<Self> {
        let reason = paused.map(str::trim).filter(|reason| !reason.eq_ignore_ascii_case("false"))?;
        let ends = match until {
            None => PauseEnd::Resumed,
            Some(text) => match text.trim().parse() {
                Ok(until) => PauseEnd::At(until),
                Err(_) => PauseEnd::Unreadable(text.to_owned()),
            },
        };
        Some(Self { reason: reason.to_owned(), ends })
    }

    /// Whether it still lasts at `now`.
    pub fn lasts_at(&self, now: Timestamp) -> bool {
        self.until().is_none_or(|until| now < until)
    }

    /// The time at which it ends by itself.
    pub fn until(&self) -> Option<Timestamp> {
        match self.ends {
            PauseEnd::At(until) => Some(until),
            PauseEnd::Resumed | PauseEnd::Unreadable(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn lasts_until_its_end_or_until_it_is_lifted() {
        assert_eq!(Pause::parse(None, Some("2026-01-01T00:00:00Z")), None);
        assert_eq!(Pause::parse(Some("false"), None), None);
        let pause = Pause::parse(Some(" move of the registry "), None).unwrap();
        assert_eq!((pause.reason.as_str(), pause.lasts_at(Timestamp::MAX)), ("move of the registry", true));
        let pause = Pause::parse(Some(""), Some("2026-01-01T02:00:00+02:00")).unwrap();
        assert!(pause.lasts_at(time("2025-12-31T23:59:59Z")) && !pause.lasts_at(time("2026-01-01T00:00:00Z")));
    }

    #[test]
    fn an_end_that_can_not_be_read_is_none() {
        let pause = Pause::parse(Some("x"), Some("tomorrow")).unwrap();
        assert_eq!(pause.ends, PauseEnd::Unreadable("tomorrow".to_owned()));
        assert!(pause.lasts_at(Timestamp::MAX));
    }
}
