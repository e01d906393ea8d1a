//! A PostgreSQL server of one's own, in a folder that goes with it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::find::{find, find_in, free_port, is_root};
use crate::process::{Child, wait_until};

/// The password of `pac_user` on a server that listens on loopback alone and is gone with whoever started it.
pub const PASSWORD: &str = "only for this test";
/// PostgreSQL refuses to run as root. This is Debian's user `nobody`.
const NOBODY: u32 = 65_534;
const INSTALL: &str = "install it with: apt-get install postgresql";

/// A running server with the deployment guide's database and user.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Child>,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    port: u16,
    folder: TempDir,
}

/// A transaction that is open until this is dropped.
#[derive(Debug)]
pub struct OpenTransaction {
    session: process::Child,
    _input: ChildStdin,
}

/// Where a program of PostgreSQL's, or one for it, is: in the folder that `PAC_TEST_POSTGRES` names, to try another version; where
/// Debian keeps them, newest first; or where others are.
pub fn find_program(name: &str) -> Option<PathBuf> {
    find_in(folders(), name).or_else(|| find(name))
}

fn folders() -> Vec<PathBuf> {
    let chosen = std::env::var_os("PAC_TEST_POSTGRES").map(PathBuf::from);
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0);
    let mut versions: Vec<fs::DirEntry> = versions.collect();
    versions.sort_by_key(|entry| std::cmp::Reverse(number(entry)));
    chosen.into_iter().chain(versions.iter().map(|entry| entry.path().join("bin"))).collect()
}

// === impl OpenTransaction ===

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        // The server ends what its client left open.
        let _ = self.session.kill();
        let _ = self.session.wait();
    }
}

// === impl Postgres ===

impl Postgres {
    /// Starts a server, and makes database and user as the deployment guide does.
    ///
    /// # Errors
    ///
    /// If there is no PostgreSQL on this machine, or it doesn't come up.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same, with settings of the server such as `max_connections=20`.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let postgres = Self::start_empty(options)?;
        postgres.administer("CREATE DATABASE pac_concurrency")?;
        postgres.administer(&format!("CREATE USER pac_user WITH PASSWORD '{PASSWORD}'"))?;
        postgres.administer("GRANT ALL PRIVILEGES ON DATABASE pac_concurrency TO pac_user")?;
        Ok(postgres)
    }

    /// Starts a server with nothing in it but what PostgreSQL puts there.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub fn start_empty(options: &[&str]) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pac-postgres-").tempdir()?;
        let sockets = folder.path().join("sockets");
        fs::create_dir(&sockets)?;
        for owned in [folder.path(), &sockets] {
            give_to_server(owned)?;
        }
        let mut initdb = server_program("initdb")?;
        initdb.arg("--pgdata").arg(folder.path().join("data")).args(["--username", "postgres", "--no-sync"]);
        initdb.args(["--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
        let made = initdb.output()?;
        if !made.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        let mut postgres = Self { server: None, options, environment: Vec::new(), port: free_port()?, folder };
        postgres.restart()?;
        Ok(postgres)
    }

    /// Starts the server again, on the same port and data; ends it before if it still runs.
    ///
    /// # Errors
    ///
    /// If it doesn't answer within 30 seconds.
    pub fn restart(&mut self) -> Result<()> {
        self.server = None;
        wait_until("PostgreSQL answers", Duration::from_secs(30), || {
            // It ends at once where it finds that processes of the former one are still about to go.
            if self.server.as_mut().is_none_or(|server| server.ended().is_ok_and(|ended| ended.is_some())) {
                self.server = Some(self.spawn()?);
            }
            Ok(self.administer("SELECT 1").is_ok())
        })
    }

    fn spawn(&self) -> Result<Child> {
        let mut server = server_program("postgres")?;
        server.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.port.to_string(), "-h", "127.0.0.1"]);
        server.arg("-k").arg(self.sockets());
        for option in &self.options {
            server.args(["-c", option]);
        }
        server.envs(self.environment.iter().cloned());
        let log = fs::File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        server.stdout(log.try_clone()?).stderr(log);
        // On SIGTERM it would wait for its clients to leave.
        Child::spawn("PostgreSQL", server)?.ended_by("INT")
    }

    /// Ends the server as a power cut would: with SIGKILL, all of its processes at once.
    ///
    /// # Errors
    ///
    /// If it could not be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.kill_group())
    }

    /// Stops it where it is, as a machine does that is frozen; it goes on with [`Postgres::resume`].
    ///
    /// # Errors
    ///
    /// If it could not be stopped.
    pub fn pause(&self) -> Result<()> {
        self.server.as_ref().map_or(Ok(()), |server| server.signal_all("STOP"))
    }

    /// Has it go on.
    ///
    /// # Errors
    ///
    /// If it could not be told.
    pub fn resume(&self) -> Result<()> {
        self.server.as_ref().map_or(Ok(()), |server| server.signal_all("CONT"))
    }

    /// What is in its environment from its next start on, besides what this process has in its own.
    pub fn set_environment(&mut self, variables: Vec<(String, String)>) {
        self.environment = variables;
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with everything; `data` in it is the server's.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server wrote to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Runs `statement` as the superuser in database `postgres`; what it answers, unaligned.
    ///
    /// # Errors
    ///
    /// If psql is missing or the statement fails.
    pub fn administer(&self, statement: &str) -> Result<String> {
        self.administer_in("postgres", statement)
    }

    /// Runs `statement` as the superuser in `database`; what it answers, unaligned.
    ///
    /// # Errors
    ///
    /// As [`Postgres::administer`].
    pub fn administer_in(&self, database: &str, statement: &str) -> Result<String> {
        let output = self.psql(database)?.args(["-c", statement]).stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("{statement}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs `statements` as the superuser in `database`, with a transaction among them that isn't ended: it stays open until what is
    /// returned is dropped.
    ///
    /// # Errors
    ///
    /// If psql is missing or doesn't get that far.
    pub fn open_transaction(&self, database: &str, statements: &str) -> Result<OpenTransaction> {
        let mut command = self.psql(database)?;
        // It has an end only once its input has.
        let mut session = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut input = session.stdin.take().context("no input")?;
        let output = session.stdout.take().context("no output")?;
        writeln!(input, "{statements};\n\\echo open")?;
        let open = OpenTransaction { session, _input: input };
        let is_open = BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "open");
        if !is_open {
            bail!("psql ended before the transaction was open: {statements}");
        }
        Ok(open)
    }

    fn psql(&self, database: &str) -> Result<Command> {
        let psql =
            find_program("psql").context("psql is missing; install it with: apt-get install postgresql-client")?;
        let mut command = Command::new(psql);
        command.arg("-h").arg(self.sockets()).args(["-p", &self.port.to_string(), "-U", "postgres"]);
        command.args(["-v", "ON_ERROR_STOP=1", "-qAt", "-d", database]);
        Ok(command)
    }

    fn sockets(&self) -> PathBuf {
        self.folder.path().join("sockets")
    }
}

/// Makes `path` the user's that servers run as, if this process is root.
///
/// # Errors
///
/// If it can't be given away.
pub fn give_to_server(path: &Path) -> Result<()> {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| format!("can't give {} away", path.display()))?;
    }
    Ok(())
}

/// A program of PostgreSQL's server or a pooler, to be run as a user it accepts.
///
/// # Errors
///
/// If it is missing, with what to install.
pub fn server_program(name: &str) -> Result<Command> {
    let program = find_program(name).with_context(|| format!("{name} is missing; {INSTALL}"))?;
    let mut command = Command::new(program);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.current_dir("/").stdin(Stdio::null());
    Ok(command)
}
