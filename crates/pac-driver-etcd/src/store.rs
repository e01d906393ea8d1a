//! Transactions on one repository: reads of one instant, and changes that only take effect at a version.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, GetResponse, KeyValue, Txn, TxnOp, TxnOpResponse};
use pac_concurrency::{DriverError, Fault, RepositoryKey, Version};

use crate::cluster::Cluster;
use crate::keys;
use crate::records::{self, VersionRecord};

/// The cluster, and who we are in it.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) cluster: Arc<Cluster>,
    /// What this driver's own commits are known by.
    pub(crate) origin: Arc<str>,
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
    /// It is done, at this revision.
    Done(i64),
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

    /// Does all of `operations` if `repository` is at `version`, and `also` holds.
    pub(crate) async fn change(
        &self,
        repository: &RepositoryKey,
        version: Version,
        also: Option<Compare>,
        operations: Vec<TxnOp>,
    ) -> Result<Changed, DriverError> {
        let key = keys::version(repository);
        // A key that isn't there has revision 0.
        let at_version = Compare::mod_revision(key.as_str(), CompareOp::Equal, version.number().cast_signed());
        let compares: Vec<Compare> = also.into_iter().chain([at_version]).collect();
        let txn = Txn::new().when(compares).and_then(operations).or_else([TxnOp::get(key, None)]);
        let answer = self.cluster.write(|session| {
            let txn = txn.clone();
            async move { session.kv().txn(txn).await }
        });
        let answer = answer.await?;
        if answer.succeeded() {
            let revision = answer.header().ok_or_else(unexpected)?.revision();
            return Ok(Changed::Done(revision));
        }
        let found = answer.op_responses().into_iter().filter_map(got).next().ok_or_else(unexpected)?;
        Ok(Changed::Not(found.kvs().first().cloned()))
    }

    /// The write that makes a new version of `repository`.
    pub(crate) fn stamp(&self, repository: &RepositoryKey, record: VersionRecord) -> TxnOp {
        let record = VersionRecord { by: self.origin.to_string(), ..record };
        TxnOp::put(keys::version(repository), records::write(&record), None)
    }
}

/// The version that a version key, there or not, is at.
pub(crate) fn version_of(key: Option<&KeyValue>) -> Version {
    key.map_or(Version::NONE, |key| version_at(key.mod_revision()))
}

pub(crate) fn version_at(revision: i64) -> Version {
    Version::new(revision.cast_unsigned())
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
