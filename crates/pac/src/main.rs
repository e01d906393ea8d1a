//! The binary pac-watcher.
fn main() {}
