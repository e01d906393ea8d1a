//! What is kept for people, and decides nothing.

use super::{Suite, assert_stored, enqueue, hold};
use crate::Version;

pub(super) async fn a_past_is_kept_beside_all_that_is_decided(suite: Suite) {
    let (repository, holder) = (suite.repository(), suite.holder().await);
    let is_kept = suite.one().capabilities().durable;
    suite.one().keep_past(&repository, "of one that isn't known").await.unwrap();
    assert_eq!(suite.one().past(&repository).await.unwrap(), None);
    let version = suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    for past in ["once", "{\"ä\": \"'\\u0000\"}"] {
        suite.one().keep_past(&repository, past).await.unwrap();
        let expected = is_kept.then(|| past.to_owned());
        assert_eq!(suite.other().past(&repository).await.unwrap(), expected);
    }
    assert_eq!(assert_stored(suite.other(), &repository, &[], &[1]).await, version, "it is no part of the version");
    let version = suite.other().commit(&repository, version, &holder, &hold([1])).await.unwrap();
    assert_eq!(suite.one().past(&repository).await.unwrap().is_some(), is_kept);
    suite.one().forget(&repository, version).await.unwrap();
    assert_eq!(suite.one().past(&repository).await.unwrap(), None);
    suite.one().commit(&repository, Version::NONE, &holder, &enqueue([1])).await.unwrap();
    assert_eq!(suite.other().past(&repository).await.unwrap(), None, "nor when it is known again");
}
