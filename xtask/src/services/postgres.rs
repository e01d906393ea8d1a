//! A PostgreSQL server of one's own, in a folder that goes with it.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Needed, find, is_root};
use crate::process::{Child, wait_until};

pub(crate) const SERVER: Needed = Needed { program: "initdb", package: "postgresql", purpose: "the PostgreSQL driver" };

/// The password of the demo's own server, which listens on loopback alone and is gone with the demo.
const PASSWORD: &str = "demo";
/// PostgreSQL refuses to run as root. This is Debian's user `nobody`.
const NOBODY: u32 = 65_534;

/// A running server with the guide's database and user.
#[derive(Debug)]
pub(crate) struct Postgres {
    _server: Child,
    port: u16,
    _folder: TempDir,
}

/// Where Debian keeps PostgreSQL's programs, newest first.
pub(crate) fn folders() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0);
    let mut versions: Vec<fs::DirEntry> = versions.collect();
    versions.sort_by_key(|entry| std::cmp::Reverse(number(entry)));
    versions.iter().map(|entry| entry.path().join("bin")).collect()
}

// === impl Postgres ===

impl Postgres {
    /// Starts a server, and makes database and user as the deployment guide does.
    pub(crate) fn start() -> Result<Self> {
        super::bring(&[SERVER])?;
        let folder = tempfile::Builder::new().prefix("pac-postgres-").tempdir()?;
        let (data, sockets) = (folder.path().join("data"), folder.path().join("sockets"));
        fs::create_dir(&sockets)?;
        for owned in [folder.path(), &sockets] {
            if is_root() {
                chown(owned, Some(NOBODY), Some(NOBODY))?;
            }
        }
        let data_text = data.display().to_string();
        let mut initdb = server_program("initdb")?;
        initdb.args(["--pgdata", &data_text, "--username", "postgres", "--auth-local", "trust"]);
        initdb.args(["--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]).stdout(Stdio::null());
        crate::cargo::run(initdb)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = server_program("postgres")?;
        server.args(["-D", &data_text, "-p", &port.to_string(), "-k"]).arg(&sockets).args(["-h", "127.0.0.1"]);
        let log = fs::File::create(folder.path().join("log"))?;
        server.stdout(log.try_clone()?).stderr(log);
        let server = Child::spawn("PostgreSQL", server)?;
        let postgres = Self { _server: server, port, _folder: folder };
        let sql = |statement: &str| postgres.administer(&sockets, statement);
        wait_until("PostgreSQL answers", Duration::from_secs(30), || Ok(sql("SELECT 1").is_ok()))?;
        sql("CREATE DATABASE pac_concurrency")?;
        sql(&format!("CREATE USER pac_user WITH PASSWORD '{PASSWORD}'"))?;
        sql("GRANT ALL PRIVILEGES ON DATABASE pac_concurrency TO pac_user")?;
        Ok(postgres)
    }

    /// The settings a watcher needs for it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("postgresql-host", "127.0.0.1".to_owned()),
            ("postgresql-port", self.port.to_string()),
            ("postgresql-ssl-mode", "disable".to_owned()),
        ]
    }

    /// What goes into the Secret.
    pub(crate) fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The line to look at its tables with.
    pub(crate) fn look(&self) -> String {
        format!("PGPASSWORD={PASSWORD} psql -h 127.0.0.1 -p {} -U pac_user pac_concurrency", self.port)
    }

    fn administer(&self, sockets: &Path, statement: &str) -> Result<()> {
        let psql = find("psql").context("psql is missing: apt-get install postgresql-client")?;
        let mut command = Command::new(psql);
        command.arg("-h").arg(sockets).args(["-p", &self.port.to_string(), "-U", "postgres", "-v", "ON_ERROR_STOP=1"]);
        let output = command.args(["-qc", statement, "postgres"]).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{statement}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A program of PostgreSQL's server, to be run as a user it accepts.
fn server_program(name: &str) -> Result<Command> {
    let program = folders().into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let program = program.or_else(|| find(name)).with_context(|| format!("no {name}: apt-get install postgresql"))?;
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").stdin(Stdio::null());
    Ok(command)
}
