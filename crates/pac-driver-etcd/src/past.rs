//! What happened lately in a queue, for people: one key for each repository, beside all that is compared and decided.

use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use pac_concurrency::{DriverError, Fault, RepositoryKey};

use crate::keys;
use crate::store::Store;

/// Puts it if the repository is known.
pub(crate) async fn keep(store: &Store, repository: &RepositoryKey, past: &str) -> Result<(), DriverError> {
    let known = Compare::version(keys::version(repository), CompareOp::Greater, 0);
    let txn = Txn::new().when([known]).and_then([TxnOp::put(keys::past(repository), past, None)]);
    let written = store.cluster.write(|session| {
        let txn = txn.clone();
        async move { session.kv().txn(txn).await }
    });
    written.await.map(drop)
}

pub(crate) async fn read(store: &Store, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
    let key = keys::past(repository);
    let read = store.read(vec![TxnOp::get(key.as_str(), None)]).await?;
    let found = read.answers.first().and_then(|answer| answer.kvs().first());
    let text = found.map(|pair| String::from_utf8(pair.value().to_vec())).transpose();
    text.map_err(|error| DriverError::Corrupt(Fault::new(format!("{key}: {error}"))))
}
