//! A page of docs/, and its commands as an administrator would run them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cluster::Cluster;
use super::{error_of, workspace};

/// A comment before a block of commands that says why no test runs it.
const BY_HAND: &str = "<!-- by hand: ";

/// See the [module](self).
pub(crate) struct Page {
    blocks: Vec<Block>,
}

/// Something between three backticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// The heading it is under.
    pub(crate) heading: String,
    pub(crate) language: String,
    pub(crate) text: String,
    /// Why no test runs it.
    pub(crate) by_hand: Option<String>,
}

// === impl Page ===

impl Page {
    pub(crate) fn read(file: &str) -> Self {
        let text = fs::read_to_string(workspace().join("docs").join(file)).unwrap();
        Self { blocks: blocks(&text) }
    }

    /// What is in this language under this heading; under any if it is empty.
    pub(crate) fn all(&self, language: &str, heading: &str) -> Vec<&Block> {
        let is_wanted = |block: &&Block| block.language == language && (heading.is_empty() || block.heading == heading);
        let found: Vec<&Block> = self.blocks.iter().filter(is_wanted).collect();
        assert!(!found.is_empty(), "nothing in {language} under {heading:?}");
        found
    }

    /// All commands under a heading that a test can run.
    pub(crate) fn commands(&self, heading: &str) -> String {
        let found = self.all("bash", heading).into_iter().filter(|block| block.by_hand.is_none());
        found.map(|block| block.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let (mut heading, mut by_hand, mut open): (String, Option<String>, Option<Block>) = Default::default();
    for line in text.lines() {
        let trimmed = line.trim_start();
        match (&mut open, trimmed.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, Some(language)) => {
                let (heading, by_hand) = (heading.clone(), by_hand.take());
                open = Some(Block { heading, language: language.to_owned(), text: String::new(), by_hand });
            }
            (None, None) => {
                if let Some(title) = line.strip_prefix('#') {
                    heading = title.trim_start_matches('#').trim().to_owned();
                } else if let Some(why) = trimmed.strip_prefix(BY_HAND) {
                    by_hand = Some(why.to_owned());
                }
            }
        }
    }
    blocks
}

/// Runs commands one after the other in `folder`, against `cluster`, and returns what they print. One that fails ends it.
pub(crate) fn run(cluster: &Cluster, folder: &Path, commands: &str) -> String {
    let programs = folder.join("programs");
    if !programs.is_dir() {
        fs::create_dir(&programs).unwrap();
        link_programs(&programs);
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", commands]).current_dir(folder).env("PATH", path);
    bash.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder.path());
    let output = bash.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{commands}\nended with {}\n{said}\n{}", output.status, error_of(&output));
    said
}

/// `cargo xtask` without building anything, and the watcher's program.
fn link_programs(folder: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let cargo = folder.join("cargo");
    let script = format!("#!/bin/sh\n[ \"$1\" = xtask ] && shift && exec {} \"$@\"\n", env!("CARGO_BIN_EXE_xtask"));
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    symlink(super::program("pac-watcher"), folder.join("pac-watcher")).unwrap();
}

/// The committed manifests, in a folder where they may be changed.
pub(crate) fn copy_config(folder: &Path) -> PathBuf {
    let copy = folder.join("config");
    let copied = Command::new("cp").arg("-r").arg(workspace().join("config")).arg(&copy).status().unwrap();
    assert!(copied.success());
    copy
}
