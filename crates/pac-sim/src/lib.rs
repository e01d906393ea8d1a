//! Simulates watchers, cluster, stores and users in one process, so that the same seed gives the same history.
//!
//! # What is simulated
//!
//! The watcher is the whole product, as `pac-watcher run` starts it: settings and their reload, election, watches, index, engine, Events, several
//! processes of it. The cluster is the development cluster, with Tekton and Pipelines-as-Code as it plays them. The store is the
//! memory driver, or a server that can do to its callers what PostgreSQL and etcd can (`store`).
//! Users push, cancel, delete, pause and change limits; fate kills watchers, has requests and answers lost and late, cuts watches, takes
//! the store away. In the end all of that stops, all work must be done, and the development cluster's `verdict` judges P1 to P4 from every version of
//! every object, as after every test of the whole binary; and the store must be empty (P5). Each commit and each start is judged besides, at the moment at which
//! it takes effect, by what is true in store and cluster then (`store::witness`).
//!
//! # How it repeats
//!
//! Everything runs on one thread, in one Tokio runtime whose clock is paused: time stands still while anything is done, and leaps to the next
//! timer when nothing is. Chance and time of that thread are those of `pac_virtual`, of hash maps, `select!` and
//! other crates, too. There are no sockets: kube's client hands its requests to `network`, which has the cluster answer them.
//! A process is killed by closing its `way` to everything, for good, between any two things that it does.
//!
//! # In what order to read
//!
//! `scenario`, what there is for a seed; `schedule`, what happens, drawn from the seed before anything begins; `world`, where it is carried out;
//! with what users do; `outside`, `replica`, `way`, `weather`, `network`, `store`; `simulation`, one from its beginning to the judgement, and `unending`, what
//! becomes of one that has no end; `part` and `shrink`, from a long one that breaks a promise to a short one; `process`, which has each of them begun anew.

mod log;
mod network;
mod outside;
mod part;
mod process;
mod replica;
mod scenario;
mod schedule;
mod shrink;
mod simulation;
mod store;
mod trace;
mod unending;
mod way;
mod weather;
mod world;

pub use self::part::Part;
pub use self::process::Process;
pub use self::scenario::{Scenario, StoreKind};
pub use self::shrink::{Shrunk, shrink};
pub use self::simulation::{Breach, Keeps, Report, Running, run};
pub use self::store::CalmStore;
