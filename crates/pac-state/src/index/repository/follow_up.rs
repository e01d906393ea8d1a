//! When to look at a repository again after a pass.

use pac_concurrency::Plan;
use pac_concurrency::protocol::FOREIGN_LOOK;
use tokio::time::Instant;

use super::RepositoryState;

/// The looks that follow a pass without any further event (P4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowUp {
    /// Whether to look again at once.
    pub at_once: bool,
    /// When to look again at the latest.
    pub at: Option<Instant>,
}

// === impl RepositoryState ===

impl RepositoryState {
    /// The looks that follow a pass that came to `plan` at `now`.
    pub fn follow_up(&self, plan: &Plan, now: Instant) -> FollowUp {
        let foreign = plan.foreign_pending.then(|| now + FOREIGN_LOOK);
        FollowUp {
            // Provably ours by the next pass, which nothing else may bring: news of one's own commits is optional.
            at_once: !plan.claimed.is_empty(),
            at: self.next_look().into_iter().chain(foreign).min(),
        }
    }
}
