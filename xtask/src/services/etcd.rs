//! An etcd server of one's own, in a folder that goes with it.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::{Needed, find};
use crate::http;
use crate::process::{Child, wait_until};

pub(crate) const SERVER: Needed = Needed { program: "etcd", package: "etcd-server", purpose: "the etcd driver" };
pub(crate) const CLIENT: Needed = Needed { program: "etcdctl", package: "etcd-client", purpose: "looking into etcd" };

/// A running server.
#[derive(Debug)]
pub(crate) struct Etcd {
    _server: Child,
    port: u16,
    _folder: TempDir,
}

// === impl Etcd ===

impl Etcd {
    /// Starts a server of one member.
    pub(crate) fn start() -> Result<Self> {
        super::bring(&[SERVER])?;
        let folder = tempfile::Builder::new().prefix("pac-etcd-").tempdir()?;
        let (port, peer_port) = (free_port()?, free_port()?);
        let (client, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
        let mut server = Command::new(find("etcd").context("no etcd: apt-get install etcd-server")?);
        server.arg("--data-dir").arg(folder.path().join("data")).args(["--name", "demo"]);
        server.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        server.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        server.args(["--initial-cluster", &format!("demo={peer}")]);
        let log = fs::File::create(folder.path().join("log"))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = Child::spawn("etcd", server)?;
        let health = format!("{client}/health");
        wait_until("etcd answers", Duration::from_secs(30), || Ok(http::get(&health).is_ok()))?;
        Ok(Self { _server: server, port, _folder: folder })
    }

    /// The settings a watcher needs for it.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        vec![("etcd-endpoints", format!("http://127.0.0.1:{}", self.port))]
    }

    /// The line to look at its keys with.
    pub(crate) fn look(&self) -> String {
        format!("ETCDCTL_API=3 etcdctl --endpoints 127.0.0.1:{} get --prefix /pac/concurrency/", self.port)
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
