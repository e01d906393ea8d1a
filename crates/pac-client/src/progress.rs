//! One line that says how far something is: at a terminal it is written anew in its place, elsewhere there is a line for each change.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::say;
use crate::table::end_cut;

/// What takes a terminal's line away.
const CLEAR_LINE: &str = "\r\u{1b}[K";
/// An estimate that moves by less is no change to a person.
const LEAST_MOVE: Duration = Duration::from_secs(10);

/// See the [module](self).
pub(crate) struct Progress {
    at_terminal: bool,
    last: Option<(Told, Instant)>,
}

/// What is said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// What makes it another line when it changes.
    pub(crate) text: String,
    /// What changes all the time.
    pub(crate) rest: Option<String>,
    /// In what time what is waited for is expected.
    pub(crate) expected: Option<Duration>,
}

// === impl Told ===

impl Told {
    pub(crate) fn plain(text: String) -> Self {
        Self { text, rest: None, expected: None }
    }

    fn line(&self) -> String {
        format!("{}{}", self.text, self.rest.as_deref().unwrap_or_default())
    }

    /// Whether it says something else, `passed` later.
    fn is_news_after(&self, before: &Self, passed: Duration) -> bool {
        let moved = match (self.expected, before.expected) {
            (Some(now), Some(then)) => {
                let expected = then.saturating_sub(passed);
                now.abs_diff(expected) > LEAST_MOVE.max(expected / 4)
            }
            (now, then) => now.is_some() != then.is_some(),
        };
        self.text != before.text || moved
    }
}

// === impl Progress ===

impl Progress {
    pub(crate) fn new() -> Self {
        Self { at_terminal: std::io::stdout().is_terminal(), last: None }
    }

    /// Whether anything was said yet.
    pub(crate) fn has_told(&self) -> bool {
        self.last.is_some()
    }

    /// Says how far it is, unless that was said.
    pub(crate) fn tell(&mut self, told: Told) -> Result<(), Failure> {
        if self.at_terminal {
            let width =
                terminal_size::terminal_size_of(std::io::stdout()).map_or(80, |(width, _)| usize::from(width.0));
            // A line as wide as the terminal would begin another.
            let line = end_cut(&told.line(), width.saturating_sub(1));
            self.last = Some((told, Instant::now()));
            return print(&format!("{CLEAR_LINE}{line}"));
        }
        let is_news = self.last.as_ref().is_none_or(|(before, at)| told.is_news_after(before, at.elapsed()));
        if !is_news {
            return Ok(());
        }
        let line = told.line();
        self.last = Some((told, Instant::now()));
        print(&format!("{line}\n"))
    }

    /// Says how it ended.
    pub(crate) fn end(&self, text: &str) -> Result<(), Failure> {
        let clear = if self.at_terminal { CLEAR_LINE } else { "" };
        print(&format!("{clear}{text}\n"))
    }

    /// Leaves the line as it is, for others to write below.
    pub(crate) fn leave(&self) -> Result<(), Failure> {
        if self.at_terminal && self.last.is_some() { print("\n") } else { Ok(()) }
    }
}

/// Whoever no longer reads may wait all the same.
fn print(text: &str) -> Result<(), Failure> {
    say::print(text).map(drop).map_err(Failure::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, expected: Option<u64>) -> Told {
        Told { text: text.to_owned(), rest: None, expected: expected.map(Duration::from_secs) }
    }

    #[test]
    fn an_estimate_that_comes_nearer_as_time_goes_by_is_no_news() {
        let passed = Duration::from_secs(60);
        let before = told("place 2", Some(300));
        for (now, is_news) in [(240, false), (225, false), (150, true), (320, true)] {
            assert_eq!(told("place 2", Some(now)).is_news_after(&before, passed), is_news, "{now}");
        }
        assert!(told("place 1", Some(240)).is_news_after(&before, passed));
        assert!(told("place 2", None).is_news_after(&before, passed));
        assert!(!told("paused", None).is_news_after(&told("paused", None), passed));
    }
}
