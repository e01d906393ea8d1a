//! News of what others do.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt;

use super::{Suite, enqueue, hold};
use crate::{RepositoryKey, StoreEvent, Version};

/// Far longer than any store's way of telling takes, polling included.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn others_hear_of_changes(suite: Suite) {
    let holder = suite.holder().await;
    let mut changes = suite.other().changes();
    let mut unheard: BTreeSet<RepositoryKey> = (0..3).map(|_| suite.repository()).collect();
    let mut versions = Vec::new();
    // A stream may begin with what it can't rule out to have missed; what is committed after that must be told.
    for repository in &unheard {
        versions.push(suite.one().commit(repository, Version::NONE, &holder, &enqueue([1])).await.unwrap());
    }
    hear(&mut changes, &mut unheard).await;
    let again = suite.repository();
    let version = suite.one().commit(&again, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    hear(&mut changes, &mut BTreeSet::from([again.clone()])).await;
    let version = suite.one().commit(&again, version, &holder, &hold([1])).await.unwrap();
    hear(&mut changes, &mut BTreeSet::from([again.clone()])).await;
    suite.one().forget(&again, version).await.unwrap();
    hear(&mut changes, &mut BTreeSet::from([again])).await;
}

async fn hear(changes: &mut futures::stream::BoxStream<'static, StoreEvent>, unheard: &mut BTreeSet<RepositoryKey>) {
    let listening = async {
        while !unheard.is_empty() {
            match changes.next().await.expect("the stream never ends") {
                StoreEvent::Repository(repository) => drop(unheard.remove(&repository)),
                StoreEvent::Resync => unheard.clear(),
            }
        }
    };
    let heard = tokio::time::timeout(PATIENCE, listening).await;
    assert!(heard.is_ok(), "P4: nothing was heard of {unheard:?}");
}
