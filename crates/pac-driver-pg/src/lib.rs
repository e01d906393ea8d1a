//! The PostgreSQL driver: slots and queues in a schema of their own, `pac_concurrency`.
//!
//! # What makes it right
//!
//! A repository's row has a version. `commit` is one call of a function in the database that locks that row, compares the
//! version, applies the change and writes a new version, all in one transaction and one round trip. Whoever finds another
//! version gets nothing done ([`DriverError::Conflict`](pac_concurrency::DriverError::Conflict)). Nothing else is locked,
//! nothing is decided by the time of day but the expiry of leases, and that by the database's own clock.
//!
//! There are two such functions. `commit` is the schema's, and every watcher knows it; `commit_at` does the same, but finds the row
//! by its place, which the commit before left (`places`), and is used where it could be added.
//!
//! # What can go wrong on the way
//!
//! A write whose answer didn't arrive may have happened: `Indeterminate`. Whatever failed before it was sent, and every read,
//! is `Unavailable`. The server's codes are told apart in one place, `error`.
//!
//! # News
//!
//! What others commit is heard through LISTEN/NOTIFY, or, behind a pooler that doesn't pass it on, seen by polling. News
//! only hurry things: what was missed is found by the watcher's own resync.
//!
//! # What was there before
//!
//! An earlier implementation kept its state in the schema `public`. `legacy` reads it; the watcher takes it over once.
//!
//! # Reading order
//!
//! `migrations/`, then [`driver`], `sessions` (how a statement is run), `pool`, `connect` (which server, over which wire),
//! `session`, `tls`, `changes`, `horizon`, `places`, `past` (the history), `migrate`, `error`.

mod announce;
mod changes;
mod connect;
mod delta;
pub mod driver;
mod error;
mod horizon;
mod inspect;
mod legacy;
mod migrate;
mod past;
mod places;
mod pool;
mod row;
mod session;
mod sessions;
mod statement;
#[cfg(test)]
mod testing;
mod tls;

pub use driver::PgDriver;
