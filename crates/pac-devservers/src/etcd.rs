//! An etcd server of one's own, in a folder that goes with it.

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::find::{find, free_port};
use crate::process::{Child, wait_until};

/// A running server of one member, without TLS or users.
#[derive(Debug)]
pub struct Etcd {
    _server: Child,
    port: u16,
    _folder: TempDir,
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
        let (port, peer_port) = (free_port()?, free_port()?);
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let program = find("etcd").context("etcd is missing; install it with: apt-get install etcd-server")?;
        let mut server = Command::new(program);
        server.arg("--data-dir").arg(folder.path().join("data")).args(["--name", "one"]);
        server.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        server.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        server.args(["--initial-cluster", &format!("one={peer}")]);
        let log = fs::File::create(folder.path().join("log"))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = Child::spawn("etcd", server)?;
        wait_until("etcd answers", Duration::from_secs(30), || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
        Ok(Self { _server: server, port, _folder: folder })
    }

    /// Where clients connect, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
