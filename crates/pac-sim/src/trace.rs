//! What happened, line by line, so that two simulations can be compared.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Trace(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    /// Not kept where nobody reads them: an hour has some hundred thousand.
    kept: Option<String>,
    count: usize,
    hash: DefaultHasher,
    /// The last one that was told, and when.
    last: (Duration, String),
}

// === impl Trace ===

impl Trace {
    pub(crate) fn new(is_kept: bool) -> Self {
        let kept = is_kept.then(String::new);
        // Without keys of its own, unlike one of a `RandomState`.
        Self(Arc::new(Mutex::new(Lines { kept, count: 0, hash: DefaultHasher::new(), last: Default::default() })))
    }

    /// A line, with the time in front.
    pub(crate) fn tell(&self, what: &str) {
        let at = pac_virtual::elapsed().unwrap_or_default();
        let line = format!("{:.6} {what}\n", at.as_secs_f64());
        self.add(&line);
        self.0.lock().last = (at, line);
    }

    /// A line as it is.
    pub(crate) fn add(&self, line: &str) {
        let mut lines = self.0.lock();
        line.hash(&mut lines.hash);
        lines.count += 1;
        if let Some(kept) = &mut lines.kept {
            kept.push_str(line);
        }
    }

    /// The last line that was told, and at what virtual time.
    pub(crate) fn last(&self) -> (Duration, String) {
        self.0.lock().last.clone()
    }

    /// How many lines there are, and what all of them hash to.
    pub(crate) fn sum(&self) -> (usize, u64) {
        let lines = self.0.lock();
        (lines.count, lines.hash.finish())
    }

    /// The lines, if they are kept.
    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().kept.clone()
    }
}
