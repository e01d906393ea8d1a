//! The store at work, and what works on it: the ports look here when they are asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pac_concurrency::Manager;

use crate::audit::Audit;
use crate::work_queue::WorkQueue;

/// See the [module](self). Empty while the system is switched off, or no store is connected yet.
#[derive(Debug, Default)]
pub struct ActiveStore(Mutex<Parts>);

/// What the concurrency system is doing.
#[derive(Debug, Clone)]
pub enum System {
    /// The system is yet to have settings and a store.
    Starting,
    /// The system is switched off.
    Off,
    /// The system works on the store of this manager.
    On(Arc<Manager>),
    /// The system only watches, and needs no store.
    Shadow,
}

#[derive(Debug, Default)]
struct Parts {
    off: bool,
    shadow: bool,
    /// How many runs wait while it is off, as far as that is known.
    backlog: Option<usize>,
    queue: Option<Arc<WorkQueue>>,
    manager: Option<Arc<Manager>>,
    audit: Option<Arc<Audit>>,
}

// === impl ActiveStore ===

impl ActiveStore {
    /// The queue of work of the watches that run.
    pub fn queue(&self) -> Option<Arc<WorkQueue>> {
        self.parts().queue.clone()
    }

    /// The manager of the store in use.
    pub fn manager(&self) -> Option<Arc<Manager>> {
        self.parts().manager.clone()
    }

    /// What the system is doing.
    pub fn system(&self) -> System {
        let parts = self.parts();
        match &parts.manager {
            _ if parts.off => System::Off,
            _ if parts.shadow => System::Shadow,
            Some(manager) => System::On(Arc::clone(manager)),
            None => System::Starting,
        }
    }

    /// What the auditor has found.
    pub fn audit(&self) -> Option<Arc<Audit>> {
        self.parts().audit.clone()
    }

    /// Notes that watches fill `queue` from now on.
    pub fn begin(&self, queue: &Arc<WorkQueue>) {
        *self.parts() = Parts { queue: Some(Arc::clone(queue)), ..Parts::default() };
    }

    /// Notes that `manager` works on a store from now on, or that none does.
    pub fn work_with(&self, manager: Option<&Arc<Manager>>, audit: Option<&Arc<Audit>>) {
        let mut parts = self.parts();
        parts.manager = manager.map(Arc::clone);
        parts.audit = audit.map(Arc::clone);
    }

    /// Notes that nothing is at work any more.
    pub fn end(&self) {
        *self.parts() = Parts::default();
    }

    /// How many runs wait while the system is switched off; none if it is on, or this watcher isn't the one that asks.
    pub fn backlog(&self) -> Option<usize> {
        self.parts().backlog
    }

    /// Notes how many runs wait while the system is switched off.
    pub fn note_backlog(&self, backlog: Option<usize>) {
        self.parts().backlog = backlog;
    }

    /// Notes that the system is switched off.
    pub fn switched_off(&self) {
        *self.parts() = Parts { off: true, ..Parts::default() };
    }

    /// Notes that the system only watches.
    pub fn shadows(&self) {
        *self.parts() = Parts { shadow: true, ..Parts::default() };
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
