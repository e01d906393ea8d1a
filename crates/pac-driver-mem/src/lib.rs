//! The memory driver: slots and queues in this process alone, for tests, trials and clusters that can do without a
//! server.
//!
//! Nothing survives the process. A watcher that starts again finds an empty store and fills it from the cluster: what runs
//! is adopted, what waits is enqueued, in the same order as before (the order is made of what the cluster keeps). Two
//! processes can't share it, which is why the watcher insists on leadership when it runs on this driver.
//!
//! moka is a cache, and a cache may drop things. The one that counts, of repositories, is built without capacity, time to
//! live or idleness; a repository comes and goes through its per-key compute, and in between changes under a lock of its own.
//! Only leases are meant to expire.
//!
//! Read [`driver`] for the contract's operations, `store` for the state of one repository.

pub mod driver;
mod store;

pub use driver::MemDriver;
