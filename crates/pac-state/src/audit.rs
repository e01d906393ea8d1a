//! The auditor: slots that are taken although their run is over.
//!
//! The auditor asks neither the plan nor what the plan is made from: it compares the store's slots with the runs the watches show, and
//! remembers since when a slot has been without a run. That lasts a moment at every run's end; more than 30 s is a leak
//! (P5), or a store or an API server that is away. The auditor mends nothing: it reports, in the log and in metrics.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pac_concurrency::{RepositoryKey, RunKey};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::index::Index;

/// How long a slot is without a run before it counts as leaked.
pub(crate) const LEAKED_AFTER: Duration = Duration::from_secs(30);

/// How often the auditor looks.
pub const AUDIT_EVERY: Duration = Duration::from_secs(5);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Audit {
    /// Since when the slots of these runs have been without a run.
    vacant: Mutex<HashMap<RepositoryKey, HashMap<RunKey, Instant>>>,
}

// === impl Audit ===

impl Audit {
    /// Looks at the slots of each repository there is; where they aren't known now, what was seen before stands.
    pub fn look(&self, slots: &[(RepositoryKey, Option<Vec<RunKey>>)], index: &Index, now: Instant) {
        let mut vacant = self.vacant();
        // A repository that was forgotten has no slots.
        vacant.retain(|repository, _| slots.iter().any(|(known, _)| known == repository));
        for (repository, runs) in slots {
            // A pass has it in hand, or it is to be loaded anew: a busy queue may look so most of the time.
            let Some(runs) = runs else { continue };
            let without_run = index.without_run(repository, runs);
            if without_run.is_empty() {
                if let Some(before) = vacant.remove(repository) {
                    before.iter().for_each(|(run, since)| tell_over(repository, run, now - *since));
                }
                continue;
            }
            let known = vacant.entry(repository.clone()).or_default();
            known.retain(|run, since| {
                let still = without_run.contains(&run);
                if !still {
                    tell_over(repository, run, now - *since);
                }
                still
            });
            for run in without_run {
                let since = *known.entry(run.clone()).or_insert(now);
                // Once: at the first look after it.
                if (LEAKED_AFTER..LEAKED_AFTER + AUDIT_EVERY).contains(&(now - since)) {
                    warn!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "the slot of {run} is still taken, and nothing of it is left in the cluster");
                }
            }
        }
    }

    /// The runs whose slots are leaked, by repository.
    pub fn leaked(&self, now: Instant) -> BTreeMap<RepositoryKey, Vec<RunKey>> {
        let vacant = self.vacant();
        let leaked = vacant.iter().map(|(repository, runs)| {
            let mut runs: Vec<RunKey> =
                runs.iter().filter(|(_, since)| now - **since >= LEAKED_AFTER).map(|(run, _)| run.clone()).collect();
            runs.sort();
            (repository.clone(), runs)
        });
        leaked.filter(|(_, runs)| !runs.is_empty()).collect()
    }

    fn vacant(&self) -> MutexGuard<'_, HashMap<RepositoryKey, HashMap<RunKey, Instant>>> {
        self.vacant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_over(repository: &RepositoryKey, run: &RunKey, after: Duration) {
    if after >= LEAKED_AFTER {
        info!(%repository, namespace = run.namespace(), run = run.name(), uid = run.uid(), "the slot of {run} is no longer leaked, after {} s", after.as_secs());
    }
}

#[cfg(test)]
mod tests {

    use pac_kube::convert::{FinalState, Phase, RunView};
    use pac_kube::hold::Hold;

    use super::*;

    fn view(phase: Phase) -> RunView {
        let (key, repository) = (run(), repository());
        RunView {
            key,
            repository,
            created: 0,
            phase,
            begun: None,
            release_reason: None,
            event: None,
            place: None,
            awaits_secret: false,
            has_pacs_order: false,
            hold: Hold::None,
            notice: None,
            complaint: None,
        }
    }

    fn run() -> RunKey {
        RunKey::new("ns", "run", "uid").unwrap()
    }

    fn repository() -> RepositoryKey {
        RepositoryKey::new("ns", "repo").unwrap()
    }

    #[test]
    fn a_slot_is_leaked_once_it_has_been_without_a_run_for_long() {
        let (index, audit) = (Index::new(repository()), Audit::default());
        let (slots, began) = ([(repository(), Some(vec![run()]))], Instant::now());
        let leaked_at = |seconds| audit.leaked(began + Duration::from_secs(seconds)).len();
        let look_at = |seconds| audit.look(&slots, &index, began + Duration::from_secs(seconds));
        for phase in [Phase::Waiting, Phase::Running] {
            index.apply_run(view(phase));
            look_at(0);
            look_at(100);
            assert_eq!(leaked_at(100), 0, "{phase:?}");
        }
        index.apply_run(view(Phase::Done(FinalState::Failed)));
        look_at(100);
        assert_eq!((leaked_at(129), leaked_at(130)), (0, 1));
        // Gone altogether is no better.
        index.remove_run("ns/run");
        look_at(200);
        assert_eq!(audit.leaked(began + Duration::from_secs(200))[&repository()], [run()]);
        audit.look(&[(repository(), Some(vec![]))], &index, began + Duration::from_secs(201));
        assert_eq!(leaked_at(300), 0, "it was freed");
    }

    #[test]
    fn what_is_forgotten_is_not_leaked_and_a_look_makes_nothing_known() {
        let (index, audit) = (Index::new(repository()), Audit::default());
        let began = Instant::now();
        audit.look(&[(repository(), Some(vec![run()]))], &index, began);
        assert!(index.repositories().is_empty());
        audit.look(&[], &index, began + AUDIT_EVERY);
        assert!(audit.leaked(began + Duration::from_secs(100)).is_empty());
    }

    #[test]
    fn a_leak_of_a_busy_queue_is_told_like_any_other() {
        let (index, audit) = (Index::new(repository()), Audit::default());
        let began = Instant::now();
        audit.look(&[(repository(), Some(vec![run()]))], &index, began);
        // A pass has it in hand whenever the auditor looks.
        for looks in 1..7 {
            audit.look(&[(repository(), None)], &index, began + AUDIT_EVERY * looks);
        }
        assert_eq!(audit.leaked(began + LEAKED_AFTER)[&repository()], [run()]);
    }

    #[test]
    fn a_slot_whose_run_is_shown_again_begins_anew() {
        let (index, audit) = (Index::new(repository()), Audit::default());
        let (slots, began) = ([(repository(), Some(vec![run()]))], Instant::now());
        let look_at = |seconds| audit.look(&slots, &index, began + Duration::from_secs(seconds));
        look_at(0);
        index.apply_run(view(Phase::Running));
        look_at(20);
        index.remove_run("ns/run");
        look_at(29);
        assert!(audit.leaked(began + Duration::from_secs(31)).is_empty());
    }
}
