//! `cargo xtask image`, with stand-ins for the engines, and what the Containerfile promises. That it builds is shown where there
//! is an engine: in .github/workflows.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with engines that answer `version` and write down the rest, or that have no daemon.
fn engines(working: &[&str], broken: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, script: &str| {
        let path = folder.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    for name in working {
        write(name, "#!/bin/sh\n[ \"$1\" = version ] && exit 0\necho \"told: $*\"\n");
    }
    for name in broken {
        write(name, "#!/bin/sh\nexit 1\n");
    }
    folder
}

fn image(engines: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    // Nothing else is on the path but what git needs to be found, and cannot be an engine.
    let git = Path::new("/usr/lib/git-core");
    command.env("PATH", format!("{}:{}", engines.path().display(), git.display()));
    command.arg("image").args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_first_engine_that_answers_builds_it() {
    let said = told(&image(&engines(&["docker", "podman"], &[]), &["--tag", "registry.example.com/w:1"]));
    assert!(said.starts_with("told: build --tag=registry.example.com/w:1 --label="), "{said}");
    assert!(said.ends_with("--file=Containerfile .\n"), "{said}");
    let said = told(&image(&engines(&["docker"], &["podman"]), &[]));
    assert!(said.starts_with(concat!("told: buildx build --tag=pac-watcher:", env!("CARGO_PKG_VERSION"))), "{said}");
}

#[test]
fn both_platforms_are_a_manifest_to_those_who_call_it_so() {
    let both = ["--platform", "linux/amd64,linux/arm64"];
    let said = told(&image(&engines(&["buildah"], &[]), &both));
    assert!(said.starts_with("told: build --platform=linux/amd64,linux/arm64 --manifest=pac-watcher:"), "{said}");
    let said = told(&image(&engines(&["docker"], &[]), &both));
    assert!(said.contains("--platform=linux/amd64,linux/arm64 --tag=pac-watcher:"), "{said}");
}

#[test]
fn without_an_engine_it_says_what_to_run_elsewhere() {
    let none = engines(&[], &["docker"]);
    let output = image(&none, &[]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no container engine answers here") && said.contains("docker buildx build --tag="), "{said}");
    assert!(told(&image(&none, &["--print"])).starts_with("docker buildx build --tag="));
    assert_eq!(image(&none, &["--platform", "linux/s390x"]).status.code(), Some(2));
}

#[test]
fn whoever_reads_what_is_printed_may_stop_at_any_time() {
    let printed = "for n in 1 2 3 4 5; do \"$0\" image --print | true; \"$0\" deploy --mode standalone --driver memory | true; done";
    let output = Command::new("sh").args(["-c", printed, env!("CARGO_BIN_EXE_xtask")]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn the_image_has_one_program_and_a_user_that_is_not_root() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("Containerfile")).unwrap();
    let stages: Vec<&str> = text.split("\nFROM ").collect();
    let last: Vec<&str> = stages.last().unwrap().lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(last[0], "${BASE}");
    assert!(text.contains("BASE=gcr.io/distroless/cc-debian12:nonroot"));
    // The rest of the manifests' restricted profile is up to the pod; runAsNonRoot needs a number.
    assert!(last.contains(&"USER 65532:65532"), "{last:?}");
    // Where the path of the base image finds it, for whoever runs a command in the pod.
    assert!(last.contains(&"ENTRYPOINT [\"/usr/local/bin/pac-watcher\"]"), "{last:?}");
    assert!(last.contains(&"COPY --from=build /image/pac-watcher /usr/local/bin/pac-watcher"), "{last:?}");
    assert_eq!(last.iter().filter(|line| line.starts_with("COPY") || line.starts_with("RUN")).count(), 1, "{last:?}");
    // The same to both kinds of engine.
    let ignored = |name: &str| fs::read_to_string(root.join(name)).unwrap();
    assert_eq!(ignored(".containerignore"), ignored(".dockerignore"));
}

/// What the base image brings is enough: the C library and the compiler's own.
#[test]
fn the_program_needs_nothing_but_the_c_library() {
    let program = Path::new(env!("CARGO_BIN_EXE_xtask")).with_file_name("pac-watcher");
    let output = Command::new("ldd").arg(&program).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "build it with: cargo build -p pac\n{said}");
    let allowed = ["linux-vdso.so", "libgcc_s.so", "libm.so", "libc.so", "ld-linux"];
    for line in said.lines() {
        assert!(allowed.iter().any(|library| line.contains(library)), "{line}");
    }
}
