//! Transactions on one repository: reads of one instant, and changes that only take effect at a version.

use std::sync::Arc;

use etcd_client::{Compare, GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse};
use pac_concurrency::{DriverError, Fault, RepositoryKey, Version};

use crate::cluster::Cluster;
use crate::keys;
use crate::records::VersionRecord;
use crate::version_key::VersionKeys;

/// The cluster, and who we are in it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) versions: VersionKeys,
}

/// What was read at one instant.
pub(crate) struct Read {
    /// The instant.
    pub(crate) revision: i64,
    /// An answer for each question, in order.
    pub(crate) answers: Vec<GetResponse>,
}

/// What became of a change.
pub(crate) enum Changed {
    /// It is done. This is the new version; the one it was at, if it was given none.
    Done(Version),
    /// Nothing happened: the repository was not at the version. This is its version key.
    Not(Option<KeyValue>),
}

// === impl Store ===

impl Store {
    /// Asks all of `questions` at one instant.
    pub(crate) async fn read(&self, questions: Vec<TxnOp>) -> Result<Read, DriverError> {
        let count = questions.len();
        let txn = Txn::new().and_then(questions);
        let answer = self.cluster.read(|session| {
            let txn = txn.clone();
            async move { session.kv().txn(txn).await }
        });
        let answer = answer.await?;
        let answers: Vec<GetResponse> = answer.op_responses().into_iter().filter_map(got).collect();
        match answer.header() {
            Some(header) if answers.len() == count => Ok(Read { revision: header.revision(), answers }),
            _ => Err(unexpected()),
        }
    }

    /// Does all of `operations` if `repository` is at `version`, and `also` holds, and makes a new version of it by `record`.
    pub(crate) async fn change(
        &self,
        repository: &RepositoryKey,
        version: Version,
        also: Option<Compare>,
        operations: Vec<TxnOp>,
        record: Option<VersionRecord>,
    ) -> Result<Changed, DriverError> {
        let key = keys::version(repository);
        let conditions = match self.versions.conditions(repository, version) {
            Some(conditions) => conditions,
            None => {
                let read = self.read(vec![TxnOp::get(key.as_str(), None)]).await?;
                let found = read.answers.first().and_then(|answer| answer.kvs().first());
                self.see(repository, found);
                match self.versions.conditions(repository, version) {
                    Some(conditions) => conditions,
                    None => return Ok(Changed::Not(found.cloned())),
                }
            }
        };
        let value = record.map(|record| self.versions.value(record));
        let stamp = value.as_ref().map(|value| TxnOp::put(key.as_str(), value.as_str(), None));
        let conditions: Vec<Compare> = also.into_iter().chain(conditions).collect();
        let operations: Vec<TxnOp> = operations.into_iter().chain(stamp).collect();
        let txn = Txn::new().when(conditions).and_then(operations).or_else([TxnOp::get(key, None)]);
        let answer = self.cluster.write(|session| {
            let txn = txn.clone();
            async move { session.kv().txn(txn).await }
        });
        let answer = answer.await?;
        if answer.succeeded() {
            let Some(value) = value else { return Ok(Changed::Done(version)) };
            let revision = answer.header().ok_or_else(unexpected)?.revision();
            return Ok(Changed::Done(self.versions.note(repository, revision, value.as_bytes())));
        }
        let found = answer.op_responses().into_iter().filter_map(got).next().ok_or_else(unexpected)?;
        Ok(Changed::Not(found.kvs().first().cloned()))
    }

    /// The version that `repository`'s version key, there or not, is at.
    pub(crate) fn see(&self, repository: &RepositoryKey, key: Option<&KeyValue>) -> Version {
        key.map_or(Version::NONE, |key| self.versions.note(repository, key.mod_revision(), key.value()))
    }
}

/// An answer that has another form than the question.
pub(crate) fn unexpected() -> DriverError {
    DriverError::Corrupt(Fault::new("etcd's answer is not one to what was asked"))
}

fn got(answer: TxnOpResponse) -> Option<GetResponse> {
    match answer {
        TxnOpResponse::Get(answer) => Some(answer),
        _ => None,
    }
}
