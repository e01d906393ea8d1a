//! What the product's files take from `crate::sync`, by shuttle: every lock and every wait is a place where another thread may go on.

mod clock;
mod notify;

pub use clock::{Instant, pass_time, sleep_until};
pub use notify::Notify;
pub use shuttle::sync::{Mutex, MutexGuard};
pub use std::sync::PoisonError;
