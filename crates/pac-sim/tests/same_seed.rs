//! The same seed gives the same history, byte for byte.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::path::{Path, PathBuf};

use pac_sim::{Part, Process};

/// Half a minute.
const HOURS: f64 = 0.008;

fn history(seed: u64, folder: &Path, name: &str) -> PathBuf {
    let file = folder.join(name);
    let report = Process::new(Path::new(env!("CARGO_BIN_EXE_pac-sim")), seed, Part::whole(HOURS))
        .with("--history", &file)
        .run()
        .unwrap();
    println!("{report}");
    assert!(report.broken.is_none(), "{report:#?}");
    file
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let folder = tempfile::tempdir().unwrap();
    for seed in [1, 2] {
        let files = [history(seed, folder.path(), "one"), history(seed, folder.path(), "again")];
        let [one, again] = files.map(|file| std::fs::read_to_string(file).unwrap());
        let differing = one.lines().zip(again.lines()).enumerate().find(|(_, (one, again))| one != again);
        assert!(differing.is_none(), "they part at line {differing:?}");
        assert_eq!(one.len(), again.len());
    }
}
