//! Tells the program its version and the commit it is of: as the environment says (`PAC_WATCHER_COMMIT`: a release, an image), as `git
//! archive` wrote it into the file `commit` (a source tarball), or as git says. Where nobody knows, the version has to do.
//!
//! git is asked for release builds alone, and only of its HEAD: what is built while people develop isn't built anew for a commit, and a
//! file that changes doesn't change what is told.

use std::path::Path;
use std::process::Command;

/// As many digits of a commit as tell it from all others.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=commit");
    println!("cargo::rerun-if-env-changed=PAC_WATCHER_COMMIT");
    let version = env("CARGO_PKG_VERSION");
    let commit = given().or_else(archived).or_else(|| if env("PROFILE") == "release" { of_git() } else { None });
    match commit {
        Some(commit) => println!("cargo::rustc-env=PAC_VERSION={version} (commit {commit})"),
        None => println!("cargo::rustc-env=PAC_VERSION={version}"),
    }
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn given() -> Option<String> {
    commit(&env("PAC_WATCHER_COMMIT"))
}

fn archived() -> Option<String> {
    commit(&std::fs::read_to_string("commit").ok()?)
}

fn of_git() -> Option<String> {
    // Sources may lie in somebody else's repository, whose commits are none of ours.
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let ours = Path::new("../..").canonicalize().ok()?;
    if Path::new(&top).canonicalize().ok()? != ours {
        return None;
    }
    // What isn't there can't be watched: cargo would take it for changed each time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", name])?;
        if Path::new(&path).exists() {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    commit(&git(&["rev-parse", "HEAD"])?)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

/// `text`, if it is a commit.
fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    let is_one = text.len() >= DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| text[..DIGITS].to_ascii_lowercase())
}
