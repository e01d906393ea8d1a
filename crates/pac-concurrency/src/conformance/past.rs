//! What is kept for people, and decides nothing.

use super::{Suite, assert_stored, enqueue, hold};
use crate::Version;

pub(super) async fn a_past_is_kept_beside_all_that_is_decided(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let (Some(one), Some(other)) = (suite.one().history(), suite.other().history()) else {
        assert!(!suite.one().capabilities().durable, "a store that lasts keeps what people ask for");
        return;
    };
    one.write(&repository, "of one that isn't known").await.unwrap();
    assert_eq!(one.read(&repository).await.unwrap(), None);
    let version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    for past in ["once", "{\"ä\": \"'\\u0000\"}"] {
        one.write(&repository, past).await.unwrap();
        assert_eq!(other.read(&repository).await.unwrap().as_deref(), Some(past));
    }
    assert_eq!(assert_stored(suite.other(), &repository, &[], &[1]).await, version, "it is no part of the version");
    let version = suite.other().commit(&repository, version, &holder, &hold([1])).await.unwrap();
    assert!(one.read(&repository).await.unwrap().is_some());
    suite.one().forget(&repository, version).await.unwrap();
    assert_eq!(one.read(&repository).await.unwrap(), None);
    suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    assert_eq!(other.read(&repository).await.unwrap(), None, "nor when it is known again");
}
