//! What is at work now, for whoever tells about it: the ports look here when they are asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pac_concurrency::Manager;

use crate::audit::Audit;
use crate::work_queue::WorkQueue;

/// See the [module](self). Empty while the system is switched off, or no store is connected yet.
#[derive(Debug, Default)]
pub struct AtWork(Mutex<Parts>);

#[derive(Debug, Default)]
struct Parts {
    queue: Option<Arc<WorkQueue>>,
    manager: Option<Arc<Manager>>,
    audit: Option<Arc<Audit>>,
}

// === impl AtWork ===

impl AtWork {
    /// The queue of work of the watches that run.
    pub fn queue(&self) -> Option<Arc<WorkQueue>> {
        self.parts().queue.clone()
    }

    /// The manager of the store in use.
    pub fn manager(&self) -> Option<Arc<Manager>> {
        self.parts().manager.clone()
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

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
