//! The concurrency system itself: who may run, who is next, and how that is written down.
//!
//! # The model
//!
//! A *repository* has a [`Limit`] and, in a store, a version, *slots* and an ordered *queue*. A [`Slot`] is the right of one
//! run to run; a run without one waits as an [`Entry`]. Behind every slot stands the lease of a [`Holder`], one watcher
//! process for one term. The cluster says what runs; the store says who holds a slot and who is next; [`plan()`] compares
//! the two and says what to change, and the [`Manager`] commits that against the version it was planned for. A run is
//! started only after its slot is committed.
//!
//! # The promises
//!
//! Comments and tests refer to these by number.
//!
//! - **P1 Limit.** At no instant do more than *limit* runs of a repository run, but for those already running when the
//!   limit was lowered or first set: they are counted, and drain.
//! - **P2 At most one start, and no undone wish.** A run is started once, and never against what a user did meanwhile.
//! - **P3 Order.** Runs are admitted in queue order; a newcomer never passes one that waits.
//! - **P4 Nothing waits for ever.** A free slot and a waiting run meet without any further event.
//! - **P5 No leaked slot.** The slot of a run that is done, deleted or was never started is freed; nothing else frees one.
//! - **P6 Durable.** No crash of watchers or store loses a slot, a waiting run or a position.
//! - **P7 Many replicas.** Any number of watchers on one store keep P1 to P6.
//! - **P8 Outage.** Store or API server unreachable: nobody is admitted, running runs go on, no restart is needed.
//! - **P9 Clocks.** No decision compares two machines' clocks.
//! - **P10 Strangers.** Nothing malformed panics the process or stops another repository; it is reported and skipped.
//!
//! # Where to read
//!
//! [`protocol`] first: who may start which run, and when. The nouns then: [`key`], [`limit`], [`order`], [`lease`], [`slot`], [`run_state`]. Then data in, data out: [`snapshot`], [`mod@plan`],
//! [`delta`]. Then what acts: [`driver`], the contract with a store; [`manager`], its caller for a watcher at work;
//! [`connected`], which looks at a store and moves what it has while nobody works on it. The suite in `conformance` (feature of
//! that name) says what a driver must prove.
//!
//! # What is not here
//!
//! Nobody else calls a driver: other crates make one, and have it as a [`ConnectedStore`].
//!
//! No Kubernetes, no SQL, no etcd, no sockets: those know this crate, never the other way round.

mod bring;
pub mod condition;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod connected;
pub mod connections;
pub mod delta;
pub mod driver;
pub mod error;
pub mod inspection;
pub mod key;
pub mod lease;
pub mod legacy;
pub mod limit;
pub mod manager;
mod metrics;
pub mod order;
pub mod plan;
pub mod protocol;
pub mod relocate;
pub mod run_state;
pub mod slot;
pub mod snapshot;
mod sync;

pub use condition::{Condition, News};
pub use connected::ConnectedStore;
pub use connections::{Connections, Waiters};
pub use delta::Delta;
pub use driver::{Capabilities, Driver, HistoryStore, LegacySource, Repositories, ServerInfo, StoreEvent};
pub use error::{DriverError, Fault};
pub use inspection::{Inspection, Schema};
pub use key::{KeyError, RepositoryKey, RunKey};
pub use lease::{Holder, Renewal};
pub use legacy::{Legacy, LegacyImport, LegacyRepository, LegacyRun};
pub use limit::Limit;
pub use manager::{Manager, ManagerOptions, OwnershipView, ReconcileOutcome, Scope};
pub use order::{Entry, FIRST_KEPT, OrderKey};
pub use plan::{Observation, Plan, plan};
pub use relocate::{RelocateError, Relocated, relocate};
pub use run_state::RunState;
pub use slot::{Slot, SlotOwnership};
pub use snapshot::{CorruptRecord, Snapshot, Version, Window};
