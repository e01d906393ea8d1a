//! The same files with a race in each.

#![allow(missing_docs, reason = "as in the files they are made of")]

pub mod work_queue {
    include!(concat!(env!("OUT_DIR"), "/work_queue.rs"));
}

pub mod snapshot_cache {
    include!(concat!(env!("OUT_DIR"), "/snapshot_cache.rs"));
}

pub mod term {
    include!(concat!(env!("OUT_DIR"), "/term.rs"));
}

crate::scenario::of_manager!();
crate::scenario::of_queue!(work_queue);
