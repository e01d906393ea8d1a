//! Makes of each file under test a copy with a race in it, so that tests can show that it is found.

#![allow(clippy::panic, clippy::print_stdout, reason = "that is how a build script speaks")]

use std::path::Path;
use std::{env, fs};

/// A race: its name, the file, what stands there once, and what takes its place.
const RACES: [(&str, &str, &str, &str); 3] = [
    // A worker that is done looks whether more is asked for before it lets go of the repository, not at once with it.
    (
        "work_queue",
        "../pac-state/src/work_queue.rs",
        "        let mut state = self.state();\n        state.under_way.remove(repository);\n        if let Some(wish) = \
         state.wanted.get(repository).copied() {\n",
        "        let wish = self.state().wanted.get(repository).copied();\n        let mut state = self.state();\n        \
         state.under_way.remove(repository);\n        if let Some(wish) = wish {\n",
    ),
    // A pass puts back what others changed meanwhile.
    (
        "snapshot_cache",
        "../pac-concurrency/src/manager/snapshot_cache.rs",
        "        self.invalid |= self.under_way;\n",
        "",
    ),
    // A term that was ended is begun again by a renewal that was under way.
    (
        "term",
        "../pac-concurrency/src/manager/term.rs",
        "        self.until = Some(asked + lease_ttl * LEASE_TRUSTED / 100);\n",
        "        self.until = Some(asked + lease_ttl * LEASE_TRUSTED / 100);\n        self.ended = false;\n",
    ),
];

fn main() {
    let out = env::var("OUT_DIR").unwrap_or_default();
    for (name, file, from, to) in RACES {
        println!("cargo::rerun-if-changed={file}");
        let source = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(source.matches(from).count(), 1, "{file} has no such place any more: {from:?}");
        let broken: String = source
            .replace(from, to)
            .lines()
            .filter(|line| !line.starts_with("//!"))
            .map(|line| format!("{line}\n"))
            .collect();
        let path = Path::new(&out).join(format!("{name}.rs"));
        fs::write(&path, broken).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
