//! An etcd server of one's own, in a folder that goes with it.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::find::{find, free_port};
use crate::process::{Child, wait_until};

/// A running server of one member, without TLS or users.
#[derive(Debug)]
pub struct Etcd {
    server: Option<Child>,
    port: u16,
    peer_port: u16,
    folder: TempDir,
}

// === impl Etcd ===

impl Etcd {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    ///
    /// If there is no etcd on this machine, or it doesn't come up within 30 seconds.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pac-etcd-").tempdir()?;
        let mut etcd = Self { server: None, port: free_port()?, peer_port: free_port()?, folder };
        etcd.restart()?;
        Ok(etcd)
    }

    /// Starts the server again, on the same ports and data; ends it before if it still runs.
    ///
    /// # Errors
    ///
    /// As [`Etcd::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.server = None;
        let (port, folder) = (self.port, &self.folder);
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{}", self.peer_port));
        let program = find("etcd").context("etcd is missing; install it with: apt-get install etcd-server")?;
        let mut server = Command::new(program);
        server.arg("--data-dir").arg(folder.path().join("data")).args(["--name", "one"]);
        server.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        server.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        server.args(["--initial-cluster", &format!("one={peer}")]);
        // Else a server that is killed again and again takes longer each time to read all that was ever written.
        server.args([
            "--auto-compaction-mode",
            "revision",
            "--auto-compaction-retention",
            "1000",
            "--snapshot-count",
            "10000",
        ]);
        let log = fs::File::options().create(true).append(true).open(folder.path().join("log"))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.server = Some(Child::spawn("etcd", server)?);
        wait_until("etcd answers", Duration::from_secs(30), || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))
    }

    /// Ends the server as a power cut would: with SIGKILL.
    ///
    /// # Errors
    ///
    /// If it could not be killed.
    pub fn kill(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.kill_group())
    }

    /// Stops it where it is, as a machine does that is frozen; it goes on with [`Etcd::resume`].
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

    /// Runs etcdctl with `arguments`; what it answers.
    ///
    /// # Errors
    ///
    /// If etcdctl is missing or says no.
    pub fn control(&self, arguments: &[&str]) -> Result<String> {
        let program = find("etcdctl").context("etcdctl is missing; install it with: apt-get install etcd-client")?;
        let mut command = Command::new(program);
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints=127.0.0.1:{}", self.port)).args(arguments);
        let output = command.stdin(Stdio::null()).output()?;
        if !output.status.success() {
            bail!("etcdctl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
