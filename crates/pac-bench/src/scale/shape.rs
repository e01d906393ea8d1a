//! How many wait, and where.

use pac_config::DriverKind;

use crate::number::number;

/// So many runs that wait, in so many repositories with limit 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) repositories: usize,
    /// In each of them, the one that runs included.
    pub(super) runs: usize,
}

/// The one that figures were promised for.
pub(super) const LARGEST: Shape = Shape { repositories: 1000, runs: 100 + 1 };

/// A thousand repositories with ever more in them, then one with many.
pub(super) const SHAPES: [Shape; 4] = [
    Shape { repositories: 1000, runs: 1 + 1 },
    Shape { repositories: 1000, runs: 10 + 1 },
    LARGEST,
    Shape { repositories: 1, runs: 20_000 + 1 },
];

// === impl Shape ===

impl Shape {
    /// How many wait once each repository has one that runs.
    pub(super) fn waiting(&self) -> usize {
        self.repositories * (self.runs - 1)
    }

    pub(super) fn is_largest(&self) -> bool {
        self.waiting() == LARGEST.waiting()
    }

    /// Whether instructions are counted, which takes minutes: at both ends of the slope, and where no server's answers are waited for,
    /// which come in other bundles each time.
    pub(super) fn is_counted(&self, kind: DriverKind) -> bool {
        kind == DriverKind::Memory && [1_000, LARGEST.waiting()].contains(&self.waiting())
    }

    /// For people.
    pub(super) fn name(&self) -> String {
        let place =
            if self.repositories == 1 { "a single repository".to_owned() } else { "1,000 repositories".to_owned() };
        format!("{} waiting in {place}", number(self.waiting() as f64))
    }
}
