//! The servers and programs that tests and demo need: found, or installed as root on Debian, or asked for.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use pac_devservers::{clock, find, is_root, postgres};

use crate::cargo::run;
use crate::root;

/// A program that something here needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needed {
    /// How it is called.
    program: &'static str,
    /// Debian's package with it.
    package: &'static str,
    /// What for.
    purpose: &'static str,
    find: fn(&str) -> Option<PathBuf>,
}

const KUBECTL: Needed = needed("kubectl", "kubernetes-client", "kubectl against the development cluster");
pub(crate) const POSTGRES: Needed =
    Needed { find: postgres::find_program, ..needed("initdb", "postgresql", "the PostgreSQL driver") };
const PGBOUNCER: Needed = needed("pgbouncer", "pgbouncer", "PostgreSQL behind a pooler");
pub(crate) const ETCD: Needed = needed("etcd", "etcd-server", "the etcd driver");
const PROMETHEUS: Needed = needed("prometheus", "prometheus", "scraping the watcher, and its alerts");
const CHROMIUM: Needed = needed("chromium", "chromium", "the page on the admin port");
const ZSH: Needed = needed("zsh", "zsh", "completing the command line in zsh");
const FISH: Needed = needed("fish", "fish", "completing the command line in fish");
const ETCDCTL: Needed = needed("etcdctl", "etcd-client", "looking into etcd");

const FAKETIME: Needed =
    Needed { find: |_| clock::library(), ..needed("libfaketime", "libfaketime", "clocks that jump") };

/// The servers that keep slots and queues, and what it takes to try them.
pub(crate) const STORES: &[Needed] = &[POSTGRES, ETCD, FAKETIME];

const PATRONI: Needed = needed("patroni", "patroni", "PostgreSQL that fails over");

/// What PostgreSQL that fails over takes.
pub(crate) const FAILOVER: &[Needed] = &[PATRONI, POSTGRES, ETCD, ETCDCTL];

const PYTHON: Needed = needed("pip3", "python3-pip", "Helm, which renders the chart");
/// A package of PyPI.
const HELM: &str = "helm-python-sdk==0.2.2";

const fn needed(program: &'static str, package: &'static str, purpose: &'static str) -> Needed {
    Needed { program, package, purpose, find }
}

/// Sees to it that all the tests need is there.
pub(crate) fn bring_all() -> Result<()> {
    bring(&[KUBECTL, POSTGRES, PGBOUNCER, ETCD, ETCDCTL, CHROMIUM, PROMETHEUS, ZSH, FISH, FAKETIME, PYTHON])?;
    bring_helm()
}

/// Helm, as a library for Python, which has it for those who haven't Go: tests have it render the chart.
fn bring_helm() -> Result<()> {
    let folder = root().join("target/helm");
    if folder.join("helm_python").is_dir() {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]).arg(folder).arg(HELM);
    // What it prints must not become the last lines of a test run.
    pip.stdout(std::process::Stdio::null());
    run(pip).with_context(|| format!("{HELM} is missing, for the Helm chart; install it by pip into target/helm"))
}

/// Sees to it that all of `needed` is there.
pub(crate) fn bring(needed: &[Needed]) -> Result<()> {
    let missing: Vec<&Needed> = needed.iter().filter(|needed| (needed.find)(needed.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|needed| needed.package).collect();
    for needed in &missing {
        eprintln!("missing: {} (Debian package {}), for {}", needed.program, needed.package, needed.purpose);
    }
    if !is_root() || find("apt-get").is_none() {
        bail!("install what is missing, then try again: apt-get install {}", packages.join(" "));
    }
    install(&packages)?;
    match missing.iter().find(|needed| (needed.find)(needed.program).is_none()) {
        Some(still) => bail!("installed {}, and still found no {}", still.package, still.program),
        None => Ok(()),
    }
}

fn install(packages: &[&str]) -> Result<()> {
    // Servers are started by whoever needs one; Debian's packages must not start another of their own.
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let ours = !policy.exists();
    if ours {
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        make_executable(policy)?;
    }
    let installed =
        apt(&["update"]).and_then(|()| apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat()));
    if ours {
        std::fs::remove_file(policy)?;
    }
    installed
}

fn apt(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(["--quiet=2"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    // What it prints must not become the last lines of a test run.
    command.stdout(std::process::Stdio::null());
    run(command)
}

fn make_executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755))?)
}
