//! What a watcher of the version before (revision 5462927) left: its store as it wrote it, and the cluster it worked in.
//!
//! `cargo xtask beside REVISION --record` has that version's watcher play [`scene`] on each kind of server, and writes both
//! into the folders beside this file. Names of people, machines and passwords are in neither.

mod cluster;
pub(crate) mod scene;
pub(crate) mod shape;
mod store;

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use self::store::lease_runs_out;
use crate::support::{Store, World};

/// Where the recordings are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");

/// The files of a recording.
struct Files {
    store: PathBuf,
    cluster: PathBuf,
}

/// Takes down what is in `store` and in the cluster.
pub(crate) fn record(store: &Store, world: &World) {
    let files = Files::of(store);
    fs::create_dir_all(files.cluster.parent().unwrap()).unwrap();
    fs::write(files.store, store::text(store)).unwrap();
    fs::write(files.cluster, cluster::text(world)).unwrap();
}

/// Makes the empty `store` and the empty cluster what they were when they were taken down, but for what the cluster makes anew:
/// uids and times of creation. The first of those that wait has the name of the last, the other way round, too, and nobody tells
/// the order of an event's runs any more: only the store knows the right one.
pub(crate) fn bring_back(store: &Store, world: &World) {
    let [first, _, last] = scene::WAITING;
    let read = |file| {
        let text = fs::read_to_string(file).unwrap();
        text.replace(first, "exchanged").replace(last, first).replace("exchanged", last)
    };
    let files = Files::of(store);
    let uids = cluster::bring_back(world, &read(files.cluster));
    let text = read(files.store);
    store::bring_back(store, &uids.iter().fold(text, |text, (before, now)| text.replace(before, now)));
}

// === impl Files ===

impl Files {
    fn of(store: &Store) -> Self {
        let (folder, file) = match store {
            Store::Postgres(_) => ("postgresql", "store.sql"),
            Store::Etcd(_) => ("etcd", "store.json"),
        };
        let folder = Path::new(FOLDER).join(folder);
        Self { store: folder.join(file), cluster: folder.join("cluster.json") }
    }
}
