//! What a recorder gave out for a metric, kept: to find it by its name and labels takes longer than to count.

use std::sync::OnceLock;

/// The recorder's counters, or histograms, of one metric: one for each combination of its labels' values that was asked for.
#[derive(Debug)]
pub(crate) struct Handles<T>(OnceLock<Box<[OnceLock<T>]>>);

// === impl Handles ===

impl<T> Handles<T> {
    pub(crate) const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// Keeps what is given out from now on, for so many combinations: only once the process has the recorder that will be
    /// its last.
    pub(crate) fn keep(&self, combinations: usize) {
        self.0.get_or_init(|| std::iter::repeat_with(OnceLock::new).take(combinations).collect());
    }

    /// Does `what` with the handle of `combination`: the one that is kept, or the one that `register` gets from the recorder.
    pub(crate) fn with(&self, combination: Option<usize>, register: impl FnOnce() -> T, what: impl FnOnce(&T)) {
        match combination.and_then(|combination| self.0.get()?.get(combination)) {
            Some(kept) => what(kept.get_or_init(register)),
            None => what(&register()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_for_each_combination_from_when_it_is_to_keep() {
        let (handles, mut asked, mut told) = (Handles::new(), 0, Vec::new());
        let mut ask = |combination| {
            let register = || {
                asked += 1;
                asked
            };
            handles.with(combination, register, |handle| told.push(*handle));
        };
        ask(Some(0));
        ask(Some(0));
        handles.keep(2);
        [Some(0), Some(1), Some(0), Some(1), None, Some(2)].into_iter().for_each(ask);
        assert_eq!(told, [1, 2, 3, 4, 3, 4, 5, 6]);
    }
}
