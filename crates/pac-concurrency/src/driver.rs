//! The contract between this crate and a store.
//!
//! # What a driver is
//!
//! A driver keeps, per repository, a version, the slots and the ordered queue, and besides them the leases of holders:
//! [`Driver`]. It knows nothing of Kubernetes or of limits; who may have a slot is not its question.
//!
//! Two more things are not every store's, and each driver says whether it has them: the history of queues, for people
//! ([`HistoryStore`]), and what an earlier implementation left on the server ([`LegacySource`]).
//!
//! No method has a default. A driver, and whatever wraps one, answers for each of them itself.
//!
//! # What the caller may assume
//!
//! - `Ok` from a call that writes: it is done, and survives what the store survives.
//! - [`DriverError::Conflict`], [`DriverError::Unavailable`], [`DriverError::Rejected`]: nothing happened.
//! - [`DriverError::Indeterminate`]: it happened whole, will happen whole, or not at all.
//! - [`DriverError::Corrupt`]: what the store holds can't be read; the place is named.
//! - Every call ends within the driver's own deadline; dropping a call's future is the same as `Indeterminate`, and the
//!   driver goes on working.
//! - Expiry is judged by the store's clock alone (P9).
//!
//! Every call that asks a server may come to `Unavailable`, `Rejected` or `Corrupt`, and one that writes also to
//! `Indeterminate`. Below, each method names what else it may come to, and what it takes for granted.
//!
//! # What an implementation must prove
//!
//! By running [`crate::conformance`] against its real server, with several drivers on one store.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::condition::Condition;
use crate::connections::Connections;
use crate::delta::Delta;
use crate::error::DriverError;
use crate::key::RepositoryKey;
use crate::lease::{Holder, Renewal};
use crate::legacy::{Legacy, LegacyImport};
use crate::snapshot::{CorruptRecord, Snapshot, Version, Window};

/// What a store can do beyond the contract; tests and the watcher ask this, never a driver's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// State outlives every watcher process (P6).
    pub durable: bool,
    /// Watchers in several processes can work on the store at once (P7).
    pub shared: bool,
}

/// The repositories a store knows of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Repositories {
    /// Each once, in no order.
    pub keys: Vec<RepositoryKey>,
    /// Records whose repository can't be told.
    pub corrupt: Vec<CorruptRecord>,
}

/// News of what others did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// This repository changed, or may have.
    Repository(RepositoryKey),
    /// Something may have been missed: look at everything again.
    Resync,
}

/// What [`Driver::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// The server and its version, for people.
    pub server: String,
    /// Where it is, without secrets.
    pub address: String,
}

/// A store of slots and queues. See the [module](self) for what callers rely on.
#[async_trait]
pub trait Driver: Send + Sync + fmt::Debug + 'static {
    /// The name users configure it by: `postgresql`, `etcd` or `memory`. For people and metrics; nothing is decided by it.
    fn name(&self) -> &'static str;

    /// What the store can do.
    fn capabilities(&self) -> Capabilities;

    /// How long a lease lasts from its last renewal.
    fn lease_ttl(&self) -> Duration;

    /// A consistent snapshot: version, all slots, the first `window` of those waiting and how many wait.
    ///
    /// A repository the store doesn't know is [`Snapshot::empty`]. A record that can't be read is named in
    /// [`Snapshot::corrupt`] and no error.
    async fn load(&self, repository: &RepositoryKey, window: Window) -> Result<Snapshot, DriverError>;

    /// All of `delta` on behalf of `holder` and a new version, or nothing.
    ///
    /// An unknown repository is at [`Version::NONE`] and is made known. The version was never that of another state and
    /// won't be. Whether the term of `holder` lasts is not looked at: slots of a term that is over have lapsed.
    ///
    /// # Errors
    ///
    /// [`DriverError::Conflict`] when the repository is not at `expected`.
    async fn commit(
        &self,
        repository: &RepositoryKey,
        expected: Version,
        holder: &Holder,
        delta: &Delta,
    ) -> Result<Version, DriverError>;

    /// Begins the term of `holder`: its lease runs from now. Slots it takes before have lapsed.
    ///
    /// Idempotent but for the lease, which runs anew. The caller never begins a term that ended or lapsed.
    async fn begin(&self, holder: &Holder) -> Result<(), DriverError>;

    /// Extends the lease behind every slot of `holder` at once. A term that lapsed, ended or never began is
    /// [`Renewal::Lost`] for good.
    async fn renew(&self, holder: &Holder) -> Result<Renewal, DriverError>;

    /// Ends the term of `holder`: its slots stay and count, but have lapsed, so that another watcher claims them without
    /// waiting. Idempotent.
    async fn end(&self, holder: &Holder) -> Result<(), DriverError>;

    /// The holders whose term lasts now, whether or not they have a slot: the watchers at work on the store. In no order.
    async fn holders(&self) -> Result<Vec<Holder>, DriverError>;

    /// Every repository with a version other than [`Version::NONE`].
    async fn repositories(&self) -> Result<Repositories, DriverError>;

    /// Removes all of `repository`, its history included.
    ///
    /// # Errors
    ///
    /// [`DriverError::Conflict`] when the repository is not at `expected`.
    async fn forget(&self, repository: &RepositoryKey, expected: Version) -> Result<(), DriverError>;

    /// What others commit and forget from now on. This driver value's own commits may be left out.
    ///
    /// Never ends and never fails: after a gap it says [`StoreEvent::Resync`].
    fn changes(&self) -> BoxStream<'static, StoreEvent>;

    /// Whether the store can be reached and is fit for use, and what server it is.
    async fn check(&self) -> Result<ServerInfo, DriverError>;

    /// The connections to the server; none if there is no server.
    fn connections(&self) -> Option<Connections>;

    /// How the store fares as far as the driver knows, without asking the server.
    fn condition(&self) -> Condition;

    /// The history of queues; none if the store keeps none.
    fn history(&self) -> Option<&dyn HistoryStore>;

    /// What an earlier implementation left on the server; none if there never was one for this store.
    fn legacy_source(&self) -> Option<&dyn LegacySource>;
}

/// What happened lately in each queue, kept beside it. For people alone: nothing is decided by it, and it has no part in
/// versions.
#[async_trait]
pub trait HistoryStore: Send + Sync {
    /// Keeps `history`, which is JSON, in place of what was kept of `repository`. Of two who write, the last one wins. A
    /// store that hasn't every character may write the same JSON in other words.
    ///
    /// Of a repository the store doesn't know nothing is kept, which is no error, and [`Driver::forget`] removes it.
    async fn write(&self, repository: &RepositoryKey, history: &str) -> Result<(), DriverError>;

    /// What was written last; none if nothing is kept.
    async fn read(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError>;
}

/// What an earlier implementation left on a server. Its records are never changed.
#[async_trait]
pub trait LegacySource: Send + Sync {
    /// All that was left, unless it was imported already; none, too, if there is nothing.
    async fn read(&self) -> Result<Option<Legacy>, DriverError>;

    /// Notes, beside it, that what was left was imported: so that it isn't read again, and can be once the note is
    /// removed. Idempotent.
    async fn note_imported(&self, imported: &LegacyImport) -> Result<(), DriverError>;
}
