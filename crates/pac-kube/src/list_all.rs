//! Every object of a kind there is, page by page: for what is done once.

use std::fmt::Debug;

use kube::api::{Api, ListParams};
use kube::{Client, Resource};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::api::Readable;
use crate::error::with_causes;

/// Objects asked for at once.
const PAGE: u32 = 500;

/// Every object of a kind that can be read.
///
/// # Errors
///
/// Why they can't be listed.
pub async fn list<K>(client: &Client, mut page: ListParams) -> Result<Vec<K>, String>
where
    Readable<K>: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<Readable<K>> = Api::all(client.clone());
    page = page.limit(PAGE);
    let mut all = Vec::new();
    loop {
        let listed = timeout(REQUEST_DEADLINE, api.list(&page)).await;
        let listed = listed.map_err(|_| format!("no answer within {} s", REQUEST_DEADLINE.as_secs()))?;
        let listed = listed.map_err(|error| with_causes(&error))?;
        all.extend(listed.items.into_iter().filter_map(|object| object.0.ok()));
        match listed.metadata.continue_.filter(|next| !next.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(all),
        }
    }
}
