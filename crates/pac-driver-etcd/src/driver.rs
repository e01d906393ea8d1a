//! The contract's operations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, StatusResponse, Txn, TxnOp};
use futures::stream::BoxStream;
use pac_concurrency::{
    Capabilities, Condition, Connections, Delta, Driver, DriverError, Fault, HistoryStore, Holder, Inspection,
    LegacySource, Renewal, Repositories, RepositoryKey, Schema, ServerInfo, Snapshot, StoreEvent, Version, Window,
};
use pac_config::EtcdSettings;
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::error::if_allowed;
use crate::load::{corrupt, load};
use crate::placement_cache::{Memory, PlacementCache};
use crate::store::Store;
use crate::version_key::VersionKeys;
use crate::{commit, keys, leases, staged, watch};

/// How often to load again after carrying out what others left half done.
const LOADS: usize = 16;
/// Repositories listed at once.
const PAGE: i64 = 5_000;

/// A driver on one etcd, with connections of its own.
pub struct EtcdDriver {
    pub(crate) store: Store,
    memory: Memory,
    lease_ttl: Duration,
    /// Whether loading completes what others left half done.
    completes: bool,
}

// === impl EtcdDriver ===

impl EtcdDriver {
    /// What the store can do, whatever the settings.
    pub const CAPABILITIES: Capabilities = Capabilities { durable: true, shared: true };

    /// Connects, which shows what is wrong with the settings, and makes sure that our keys may be read and written.
    ///
    /// # Errors
    ///
    /// `Unavailable` if no member can be reached, `Rejected` if they won't have us.
    pub async fn connect(settings: &EtcdSettings) -> Result<Self, DriverError> {
        let driver = Self::on(settings, true);
        driver.may_write().await?;
        Ok(driver)
    }

    /// Looks at the cluster without changing anything there: what server it is, and whether the user may write. The driver
    /// is for reading, and has an error for a repository that another left in the middle of a large change.
    ///
    /// # Errors
    ///
    /// As [`EtcdDriver::connect`], but that a user who may only read is no error.
    pub async fn inspect(settings: &EtcdSettings) -> Result<(Inspection, Self), DriverError> {
        let driver = Self::on(settings, false);
        let server = driver.check().await?;
        let cannot_write = match driver.may_write().await {
            Ok(()) => None,
            Err(DriverError::Rejected(fault)) => Some(fault.what),
            Err(error) => return Err(error),
        };
        Ok((Inspection { server, schema: Schema::Unneeded, cannot_write }, driver))
    }

    fn on(settings: &EtcdSettings, completes: bool) -> Self {
        let cluster = Arc::new(Cluster::new(settings.clone()));
        // With the number of a record, as long as what earlier versions write.
        let mut origin = Uuid::new_v4().simple().to_string();
        origin.truncate(24);
        let store = Store { cluster, versions: VersionKeys::new(&origin) };
        Self { store, memory: Memory::new(), lease_ttl: settings.lease_ttl, completes }
    }

    /// Whether we may write: a transaction whose condition never holds needs the same rights, and changes nothing.
    async fn may_write(&self) -> Result<(), DriverError> {
        let never = Compare::version(keys::HOLDERS, CompareOp::Less, 0);
        let all = TxnOp::delete(keys::HOLDERS, Some(DeleteOptions::new().with_prefix()));
        let txn = Txn::new().when([never]).and_then([all]);
        let asked = self.store.cluster.read(|session| {
            let txn = txn.clone();
            async move { session.kv().txn(txn).await }
        });
        asked.await.map(drop)
    }
}

impl fmt::Debug for EtcdDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdDriver").field("cluster", &self.store.cluster).finish_non_exhaustive()
    }
}

#[async_trait]
impl Driver for EtcdDriver {
    fn name(&self) -> &'static str {
        "etcd"
    }

    fn capabilities(&self) -> Capabilities {
        Self::CAPABILITIES
    }

    fn lease_ttl(&self) -> Duration {
        self.lease_ttl
    }

    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError> {
        for _ in 0..LOADS {
            let loaded = load(&self.store, repository, window).await?;
            let Some(applying) = loaded.applying else {
                self.memory.keep(repository, loaded.snapshot.version, PlacementCache::of(&loaded.snapshot));
                return Ok(loaded.snapshot);
            };
            if !self.completes {
                let what = format!(
                    "repository {repository} is in the middle of a large change: whoever works on it next completes it, and \
                     until then it can't be looked at"
                );
                return Err(DriverError::Unavailable(Fault::new(what)));
            }
            let carried_out = staged::carry_out(&self.store, repository, loaded.snapshot.version, &applying);
            // Whether it was done is no matter of the caller's, who only wants to look: it is looked for at the next load.
            carried_out.await.map_err(|error| match error {
                DriverError::Indeterminate(fault) => DriverError::Unavailable(fault),
                other => other,
            })?;
        }
        let what = format!("repository {repository} changes too fast to be read");
        Err(DriverError::Unavailable(Fault::new(what)))
    }

    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError> {
        commit::commit(&self.store, &self.memory, repository, expected, holder, delta).await
    }

    async fn begin(&self, holder: &Holder) -> Result<(), DriverError> {
        leases::begin(&self.store, holder, self.lease_ttl).await
    }

    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError> {
        leases::renew(&self.store, holder).await
    }

    async fn end(&self, holder: &Holder) -> Result<(), DriverError> {
        leases::end(&self.store, holder).await
    }

    async fn holders(&self) -> Result<Vec<Holder>, DriverError> {
        leases::holders(&self.store).await
    }

    async fn repositories(&self) -> Result<Repositories, DriverError> {
        let mut repositories = Repositories::default();
        let end = [keys::VERSIONS.trim_end_matches('/'), "0"].concat();
        let mut from = keys::VERSIONS.as_bytes().to_vec();
        loop {
            let options = GetOptions::new().with_range(end.as_str()).with_keys_only().with_limit(PAGE);
            let page = self.store.cluster.read(|session| {
                let (from, options) = (from.clone(), options.clone());
                async move { session.kv().get(from, Some(options)).await }
            });
            let page = page.await?;
            for pair in page.kvs() {
                match keys::parse_version(pair.key()) {
                    Ok(repository) => repositories.keys.push(repository),
                    Err(why) => repositories.corrupt.push(corrupt(pair.key(), why)),
                }
            }
            match page.kvs().last().filter(|_| page.more()) {
                Some(last) => from = [last.key(), &[0]].concat(),
                None => return Ok(repositories),
            }
        }
    }

    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError> {
        commit::forget(&self.store, repository, expected).await
    }

    fn changes(&self) -> BoxStream<'static, StoreEvent> {
        watch::changes(self.store.clone())
    }

    async fn check(&self) -> Result<ServerInfo, DriverError> {
        let asked = self.store.cluster.read(|session| async move {
            session.look().await?;
            // What a user may know of the server itself differs between versions.
            let status = if_allowed(session.maintenance().status().await)?;
            Ok((session.member.clone(), status))
        });
        let (member, status) = asked.await?;
        let alarms = status.as_ref().map(StatusResponse::errors).unwrap_or_default();
        if alarms.iter().any(|alarm| alarm.contains("NOSPACE")) {
            return Err(DriverError::Unavailable(Fault::new(member.full())));
        }
        if self.store.cluster.was_write_refused() {
            self.may_write().await?;
        }
        let version = status.as_ref().map_or("of a version it doesn't tell", StatusResponse::version);
        Ok(ServerInfo { server: format!("etcd {version}"), address: member.address })
    }

    fn connections(&self) -> Option<Connections> {
        Some(self.store.cluster.connections())
    }

    fn condition(&self) -> Condition {
        Condition::default()
    }

    fn history(&self) -> Option<&dyn HistoryStore> {
        Some(self)
    }

    fn legacy_source(&self) -> Option<&dyn LegacySource> {
        Some(self)
    }
}
