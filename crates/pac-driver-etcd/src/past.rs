//! What happened lately in a queue, for people: one key for each repository, beside all that is compared and decided.

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, Txn, TxnOp};
use pac_concurrency::{DriverError, Fault, HistoryStore, RepositoryKey};

use crate::driver::EtcdDriver;
use crate::keys;

#[async_trait]
impl HistoryStore for EtcdDriver {
    /// Puts it if the repository is known.
    async fn write(&self, repository: &RepositoryKey, history: &str) -> Result<(), DriverError> {
        let known = Compare::version(keys::version(repository), CompareOp::Greater, 0);
        let txn = Txn::new().when([known]).and_then([TxnOp::put(keys::past(repository), history, None)]);
        let written = self.store.cluster.write(|session| {
            let txn = txn.clone();
            async move { session.kv().txn(txn).await }
        });
        written.await.map(drop)
    }

    async fn read(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
        let key = keys::past(repository);
        let read = self.store.read(vec![TxnOp::get(key.as_str(), None)]).await?;
        let found = read.answers.first().and_then(|answer| answer.kvs().first());
        let text = found.map(|pair| String::from_utf8(pair.value().to_vec())).transpose();
        text.map_err(|error| DriverError::Corrupt(Fault::new(format!("{key}: {error}"))))
    }
}
