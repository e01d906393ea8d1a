//! PAC's requests to the API server: at most so many a second, in the order in which they were asked for, and admitted as
//! everybody's.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::time::Instant;

use super::PacPlayer;
use crate::{
    admission::{Operation, Request},
    error::ApiError,
    patch,
    resource::{self, ResourceType},
    store::Store,
    writer::Writer,
};

/// How often a patch is tried that meets a conflict, and how long PAC waits after the first one.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Client {
    store: Store,
    writer: Writer,
    interval: Duration,
    /// How far ahead of its even pace it may be.
    ahead: Duration,
    /// When the last request was or will be due at the even pace.
    paced: Mutex<Instant>,
}

// === impl Client ===

impl Client {
    pub(super) fn new(settings: &PacPlayer, store: Store, writer: Writer) -> Self {
        let interval = Duration::from_secs(1) / settings.requests_per_second.max(1);
        let ahead = interval * settings.burst.max(1);
        Self { store, writer, interval, ahead, paced: Mutex::new(Instant::now()) }
    }

    pub(super) async fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.turn().await;
        self.store.get(plural, namespace, name)
    }

    pub(super) async fn list(&self, plural: &str, namespace: &str, labels: &str) -> Vec<Arc<Value>> {
        self.turn().await;
        self.store.list(plural, Some(namespace), labels).unwrap_or_default()
    }

    pub(super) async fn create(&self, plural: &str, namespace: &str, object: Value) -> Result<Arc<Value>, ApiError> {
        self.turn().await;
        let resource = known(plural)?;
        let request = Request::new(&self.store, resource, Operation::Create, namespace);
        Ok(Arc::clone(&self.writer.create(&request, object).await?.object))
    }

    /// A merge patch of a run.
    pub(super) async fn patch(&self, namespace: &str, name: &str, merge: &Value) -> Result<Arc<Value>, ApiError> {
        self.turn().await;
        let resource = known("pipelineruns")?;
        let request = Request::new(&self.store, resource, Operation::Update, namespace);
        let request = Request { name: name.to_owned(), ..request };
        let change = |current: &Value| Ok(patch::merge_patch(current, merge));
        Ok(Arc::clone(&self.writer.update(&request, &change).await?.object))
    }

    /// The same, tried again on a conflict and on nothing else, as PAC's own helper does.
    pub(super) async fn patch_patiently(
        &self,
        namespace: &str,
        name: &str,
        merge: &Value,
    ) -> Result<Arc<Value>, ApiError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match self.patch(namespace, name, merge).await {
                Err(error) if error.code == 409 => tokio::time::sleep(pause).await,
                patched => return patched,
            }
            pause *= 2;
        }
        self.patch(namespace, name, merge).await
    }

    /// Waits until a request may be made.
    async fn turn(&self) {
        let due = {
            let mut paced = self.paced.lock();
            *paced = (*paced).max(Instant::now()) + self.interval;
            *paced
        };
        if let Some(due) = due.checked_sub(self.ahead) {
            tokio::time::sleep_until(due).await;
        }
    }
}

fn known(plural: &str) -> Result<&'static ResourceType, ApiError> {
    resource::by_plural(plural)
        .ok_or_else(|| ApiError::new(404, "NotFound", format!("the server has no resource {plural}")))
}
