//! Which commit `--version` has, and that nothing is built anew for it: our build script, in a package of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const OURS: &str = env!("CARGO_MANIFEST_DIR");

/// A workspace's folder with a package where ours is in ours, whose program prints the version.
fn package() -> TempDir {
    let folder = TempDir::new().unwrap();
    let package = folder.path().join("crates/p");
    fs::create_dir_all(package.join("src")).unwrap();
    for file in ["build.rs", "commit"] {
        fs::copy(Path::new(OURS).join(file), package.join(file)).unwrap();
    }
    fs::copy(Path::new(OURS).join("../../.gitattributes"), folder.path().join(".gitattributes")).unwrap();
    let attributes = fs::read_to_string(folder.path().join(".gitattributes")).unwrap();
    fs::write(folder.path().join(".gitattributes"), attributes.replace("crates/pac-client/", "crates/p/")).unwrap();
    let manifest = "[package]\nname = \"p\"\nversion = \"1.2.3\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/main.rs"), "fn main() { println!(\"{}\", env!(\"PAC_VERSION\")); }\n").unwrap();
    fs::write(folder.path().join(".gitignore"), "target\nCargo.lock\n").unwrap();
    folder
}

fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]);
    done(command.args(arguments).current_dir(folder).output().unwrap()).trim().to_owned()
}

/// What the program says of its version, and whether it had to be built for that.
fn built(folder: &Path, release: bool, environment: &[(&str, &str)]) -> (String, bool) {
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--offline", "--message-format=json"]).args(release.then_some("--release"));
    command.current_dir(folder.join("crates/p")).env_remove("PAC_WATCHER_COMMIT").envs(environment.iter().copied());
    command.env("CARGO_TARGET_DIR", folder.join("target"));
    let messages = done(command.output().unwrap());
    let program = folder.join(if release { "target/release/p" } else { "target/debug/p" });
    let said = done(Command::new(program).output().unwrap()).trim().to_owned();
    (said, messages.contains("\"fresh\":false"))
}

#[test]
fn a_release_build_has_its_commit_and_is_built_once() {
    let package = package();
    let folder = package.path();
    let release = |environment: &[(&str, &str)]| built(folder, true, environment);
    assert_eq!(release(&[]), ("1.2.3".to_owned(), true), "nobody knows");
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message=first"]);
    let version = || format!("1.2.3 (commit {})", &git(folder, &["rev-parse", "HEAD"])[..12]);
    // What was built before there was a commit is told that there is one now by nothing but a file of ours that changed.
    fs::write(folder.join("crates/p/build.rs"), fs::read(folder.join("crates/p/build.rs")).unwrap()).unwrap();
    assert_eq!(release(&[]), (version(), true));
    fs::write(folder.join("another-file"), "x").unwrap();
    git(folder, &["add", "another-file"]);
    assert_eq!(release(&[]), (version(), false), "neither a second build nor a change is a commit");
    git(folder, &["commit", "--quiet", "--message=second"]);
    assert_eq!(release(&[]), (version(), true));

    // While people develop, a commit is no reason to build anything.
    assert_eq!(built(folder, false, &[]), ("1.2.3".to_owned(), true));
    git(folder, &["commit", "--quiet", "--allow-empty", "--message=third"]);
    assert_eq!(built(folder, false, &[]), ("1.2.3".to_owned(), false));

    let given = "0123456789ABCDEF0123456789abcdef01234567";
    assert_eq!(release(&[("PAC_WATCHER_COMMIT", given)]).0, "1.2.3 (commit 0123456789ab)");
    assert_eq!(release(&[("PAC_WATCHER_COMMIT", "no commit")]).0, version());
}

#[test]
fn a_tarball_of_the_sources_has_its_commit_and_somebody_elses_repository_has_none() {
    let package = package();
    let folder = package.path();
    git(folder, &["init", "--quiet"]);
    git(folder, &["add", "."]);
    git(folder, &["commit", "--quiet", "--message=first"]);
    let elsewhere = TempDir::new().unwrap();
    let tarball = elsewhere.path().join("sources.tar");
    git(folder, &["archive", "--output", tarball.to_str().unwrap(), "HEAD"]);
    let unpacked = elsewhere.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    done(Command::new("tar").arg("-xf").arg(&tarball).arg("-C").arg(&unpacked).output().unwrap());
    let commit = format!("1.2.3 (commit {})", &git(folder, &["rev-parse", "HEAD"])[..12]);
    assert_eq!(built(&unpacked, false, &[]).0, commit);

    // The same sources without that file's word, in a repository of others.
    fs::copy(Path::new(OURS).join("commit"), unpacked.join("crates/p/commit")).unwrap();
    git(elsewhere.path(), &["init", "--quiet"]);
    git(elsewhere.path(), &["commit", "--quiet", "--allow-empty", "--message=theirs"]);
    assert_eq!(built(&unpacked, true, &[]).0, "1.2.3");
}
