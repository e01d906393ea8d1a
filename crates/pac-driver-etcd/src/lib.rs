//! The etcd driver: slots and queues under one key prefix.

mod cluster;
mod commit;
mod connect;
mod driver;
mod error;
mod keys;
mod known;
mod leases;
mod legacy;
mod load;
mod records;
mod staged;
mod store;
mod watch;

pub use driver::EtcdDriver;
