//! How many requests to the API server are under way at once: in all, and for one repository.
//!
//! The second bound keeps the first from being used up by one repository whose requests hang, in an admission webhook of
//! its namespace, say: others would wait with it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pac_concurrency::RepositoryKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// See the [module](self). Whoever asks first is served first.
#[derive(Debug)]
pub(super) struct Requests {
    all: Semaphore,
    of_one: usize,
    by_repository: Mutex<HashMap<RepositoryKey, Arc<Semaphore>>>,
}

/// The right to have one request under way.
#[derive(Debug)]
pub(super) struct RequestPermit<'a> {
    requests: &'a Requests,
    repository: &'a RepositoryKey,
    _of_all: Option<SemaphorePermit<'a>>,
    of_one: Option<OwnedSemaphorePermit>,
}

// === impl Requests ===

impl Requests {
    /// So many of all repositories together, and so many of one.
    pub(super) fn new(all: usize, of_one: usize) -> Self {
        Self { all: Semaphore::new(all), of_one, by_repository: Mutex::default() }
    }

    /// Waits until another request for `repository` may be sent. What waits because of its own repository takes nothing
    /// from the others.
    pub(super) async fn acquire<'a>(&'a self, repository: &'a RepositoryKey) -> RequestPermit<'a> {
        let own = {
            let mut own = self.own();
            Arc::clone(own.entry(repository.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
        };
        // Neither is ever closed, which is all that could fail.
        let of_one = own.acquire_owned().await.ok();
        let of_all = self.all.acquire().await.ok();
        RequestPermit { requests: self, repository, _of_all: of_all, of_one }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<RepositoryKey, Arc<Semaphore>>> {
        self.by_repository.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl RequestPermit ===

impl Drop for RequestPermit<'_> {
    fn drop(&mut self) {
        let mut own = self.requests.own();
        self.of_one = None;
        // Whoever holds or awaits a permit of it has it, too.
        if own.get(self.repository).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            own.remove(self.repository);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn repository(name: &str) -> RepositoryKey {
        RepositoryKey::new("ns", name).unwrap()
    }

    #[tokio::test]
    async fn one_repository_leaves_room_for_others() {
        let requests = Requests::new(10, 2);
        let (busy, other) = (repository("busy"), repository("other"));
        let mut permits = Vec::new();
        for _ in 0..2 {
            permits.push(requests.acquire(&busy).await);
        }
        let mut one_more = pin!(requests.acquire(&busy));
        assert!(one_more.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let _others = requests.acquire(&other).await;
        permits.pop();
        one_more.await;
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_repository_that_has_no_request_under_way() {
        let requests = Requests::new(10, 2);
        let (one, another) = (repository("one"), repository("another"));
        let first = requests.acquire(&one).await;
        let second = requests.acquire(&one).await;
        let third = requests.acquire(&another).await;
        drop(first);
        assert_eq!(requests.own().len(), 2);
        drop((second, third));
        assert_eq!(requests.own().len(), 0);
    }
}
