//! Three PostgreSQL servers of one's own that fail over: a node is a server and the Patroni that minds it, and a single etcd says who
//! leads.
//!
//! Every node has a network of its own to the others and to etcd, which can be held; the way of clients is somebody else's to cut. Only
//! what others ask of a node passes its network, so it is the primary's node that is cut off by it: nobody asks anything of a standby.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::etcd::Etcd;
use crate::find::{find, free_port};
use crate::postgres::{PASSWORD, find_program, give_to_server, server_program};
use crate::process::{Child, signal_with_descendants, wait_until};
use crate::proxy::{Passage, Proxy};

/// How many nodes there are.
pub const NODES: usize = 3;
/// How long a leader that isn't heard of is waited for, in seconds; a primary that can't renew steps down before that.
const TTL: u32 = 10;
/// The longest that making a cluster, or becoming whole again, takes.
const PATIENCE: Duration = Duration::from_secs(120);
const INSTALL: &str = "install it with: apt-get install patroni";

/// Whether a commit waits for a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replication {
    /// It does, and where there is none it waits for one (`synchronous_mode_strict`).
    Synchronous,
    /// It doesn't.
    Asynchronous,
}

/// A running cluster with the deployment guide's database and user.
#[derive(Debug)]
pub struct Patroni {
    // Dropped first: who leads is of no interest any more.
    nodes: Vec<Node>,
    etcd: Etcd,
    _folder: TempDir,
}

/// A server, and the Patroni that minds it.
#[derive(Debug)]
struct Node {
    patroni: Option<Child>,
    folder: PathBuf,
    /// Where the server answers, and where Patroni does.
    port: u16,
    rest_port: u16,
    /// What others ask of the server and of Patroni, and what Patroni asks of etcd.
    networks: [Proxy; 3],
}

// === impl Replication ===

impl FromStr for Replication {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "synchronous" => Ok(Self::Synchronous),
            "asynchronous" => Ok(Self::Asynchronous),
            _ => bail!("it is synchronous or asynchronous"),
        }
    }
}

impl fmt::Display for Replication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Synchronous => "synchronous",
            Self::Asynchronous => "asynchronous",
        })
    }
}

// === impl Patroni ===

impl Patroni {
    /// Starts a cluster, makes database and user as the deployment guide does, and waits until both standbys follow.
    ///
    /// # Errors
    ///
    /// If Patroni, PostgreSQL or etcd is missing on this machine, or they don't come up.
    pub fn start(replication: Replication) -> Result<Self> {
        find("patroni").with_context(|| format!("patroni is missing; {INSTALL}"))?;
        let folder = tempfile::Builder::new().prefix("pac-patroni-").tempdir()?;
        give_to_server(folder.path())?;
        let etcd = Etcd::start()?;
        let nodes = (0..NODES).map(|number| {
            let (port, rest_port) = (free_port()?, free_port()?);
            let networks = [Proxy::start(port)?, Proxy::start(rest_port)?, Proxy::start(etcd.port())?];
            let folder = folder.path().join(name(number));
            fs::create_dir(&folder)?;
            give_to_server(&folder)?;
            let node = Node { patroni: None, folder, port, rest_port, networks };
            fs::write(node.folder.join("patroni.yaml"), node.configuration(number, replication)?)?;
            Ok(node)
        });
        let mut cluster = Self { nodes: nodes.collect::<Result<_>>()?, etcd, _folder: folder };
        // The first is to lead, rather than whoever is quickest.
        cluster.nodes[0].start()?;
        wait_until("the first server leads", PATIENCE, || Ok(cluster.leader()? == Some(0)))?;
        wait_until("the first server takes writes", PATIENCE, || {
            Ok(cluster.nodes[0].psql("CREATE DATABASE pac_concurrency").is_ok())
        })?;
        cluster.nodes[0].psql(&format!("CREATE USER pac_user WITH PASSWORD '{PASSWORD}'"))?;
        cluster.nodes[0].psql("GRANT ALL PRIVILEGES ON DATABASE pac_concurrency TO pac_user")?;
        cluster.nodes[1..].iter_mut().try_for_each(Node::start)?;
        cluster.await_health()?;
        Ok(cluster)
    }

    /// Where clients reach the servers, on 127.0.0.1.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// The node that leads, by etcd's word.
    ///
    /// # Errors
    ///
    /// If etcd doesn't answer.
    pub fn leader(&self) -> Result<Option<usize>> {
        let leader = self.etcd.control(&["get", "--print-value-only", "/service/pac/leader"])?;
        Ok((0..self.nodes.len()).find(|number| name(*number) == leader))
    }

    /// Kills a node, the server and its Patroni, with SIGKILL.
    ///
    /// # Errors
    ///
    /// If it could not be killed.
    pub fn kill(&mut self, node: usize) -> Result<()> {
        self.nodes[node].kill()
    }

    /// Starts a node again that was killed. What becomes of it is Patroni's to say.
    ///
    /// # Errors
    ///
    /// If Patroni can't be started.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        self.nodes[node].start()
    }

    /// Stops a node where it is, server and Patroni, as a machine does that is frozen.
    ///
    /// # Errors
    ///
    /// If it could not be stopped.
    pub fn pause(&self, node: usize) -> Result<()> {
        self.nodes[node].signal_all("STOP")
    }

    /// Has it go on.
    ///
    /// # Errors
    ///
    /// If it could not be told.
    pub fn resume(&self, node: usize) -> Result<()> {
        self.nodes[node].signal_all("CONT")
    }

    /// Cuts the primary's node off from etcd and the other nodes, or joins it to them again. Clients reach it all the while.
    pub fn isolate(&self, node: usize, isolated: bool) {
        let passage = if isolated { Passage::Held } else { Passage::Open };
        self.nodes[node].networks.iter().for_each(|network| network.set(passage));
    }

    /// Has the leader hand over to a standby; whether it did. There may be none that is fit to.
    ///
    /// # Errors
    ///
    /// If etcd doesn't answer.
    pub fn switch_over(&self) -> Result<bool> {
        let Some(leader) = self.leader()? else { return Ok(false) };
        let asked = format!("{{\"leader\": \"{}\"}}", name(leader));
        Ok(self.nodes[leader].ask("POST", "/switchover", &asked).is_ok())
    }

    /// Waits until another than `former` leads, for so long; whether one did.
    ///
    /// # Errors
    ///
    /// If etcd doesn't answer.
    pub fn await_other_leader(&self, former: usize, patience: Duration) -> Result<bool> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if self.leader()?.is_some_and(|leader| leader != former) {
                return Ok(true);
            }
            sleep(Duration::from_millis(200));
        }
        Ok(false)
    }

    /// Waits until a server leads and the others follow it, one of them synchronously where that is asked for. A standby that can't by
    /// itself is made anew, as an operator does: who was promoted in vain is on a timeline of its own.
    ///
    /// # Errors
    ///
    /// If that takes longer than two minutes.
    pub fn await_health(&self) -> Result<()> {
        let until = Instant::now() + PATIENCE / 4;
        let mut by_itself = true;
        wait_until("the cluster of Patroni is whole", PATIENCE, || {
            if by_itself && Instant::now() > until {
                by_itself = false;
                self.reinitialize_standbys()?;
            }
            self.is_healthy()
        })
        .with_context(|| self.logs())
    }

    /// Has those make a new copy of the leader's data that don't follow it.
    ///
    /// # Errors
    ///
    /// If etcd or the leader doesn't answer.
    pub fn reinitialize_standbys(&self) -> Result<()> {
        let Some(leader) = self.leader()? else { return Ok(()) };
        let following = self.nodes[leader].psql("SELECT application_name FROM pg_stat_replication")?;
        for (number, node) in self.nodes.iter().enumerate() {
            if number != leader && !following.lines().any(|follower| follower == name(number)) {
                // One that is still starting says no.
                let _ = node.ask("POST", "/reinitialize", "{\"force\": true}");
            }
        }
        Ok(())
    }

    /// Whether all nodes are up, and all but the leader follow it.
    ///
    /// # Errors
    ///
    /// If etcd doesn't answer.
    pub fn is_healthy(&self) -> Result<bool> {
        let Some(leader) = self.leader()? else { return Ok(false) };
        // Until Patroni has named one, any may be synchronous, and none take over.
        let following = "SELECT count(*) >= 2 AND (current_setting('synchronous_standby_names') = '' OR \
            current_setting('synchronous_standby_names') <> '*' AND count(*) FILTER (WHERE sync_state = 'sync') > 0) \
            FROM pg_stat_replication WHERE state = 'streaming' AND NOT pg_is_in_recovery()";
        Ok(self.nodes[leader].psql(following).is_ok_and(|answer| answer == "t"))
    }

    /// What the leader's server answers to the superuser in the database `pac_concurrency`.
    ///
    /// # Errors
    ///
    /// If there is no leader, or it doesn't answer.
    pub fn administer(&self, statement: &str) -> Result<String> {
        let leader = self.leader()?.context("nobody leads")?;
        self.nodes[leader].psql_in("pac_concurrency", statement)
    }

    /// What Patroni and the servers wrote last, node by node.
    pub fn logs(&self) -> String {
        self.nodes.iter().map(|node| fs::read_to_string(node.folder.join("log")).unwrap_or_default()).collect()
    }
}

// === impl Node ===

impl Node {
    fn start(&mut self) -> Result<()> {
        let mut patroni = server_program("patroni")?;
        patroni.arg(self.folder.join("patroni.yaml"));
        let log = fs::File::options().create(true).append(true).open(self.folder.join("log"))?;
        patroni.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.patroni = Some(Child::spawn("Patroni", patroni)?);
        Ok(())
    }

    fn kill(&mut self) -> Result<()> {
        let Some(mut patroni) = self.patroni.take() else { return Ok(()) };
        // Stopped, it starts no server that would be missed.
        patroni.signal_all("STOP")?;
        if let Some(server) = self.server() {
            signal_with_descendants(server, "KILL")?;
        }
        patroni.kill_group()
    }

    fn signal_all(&self, signal: &str) -> Result<()> {
        if let Some(patroni) = &self.patroni {
            patroni.signal_all(signal)?;
        }
        self.server().map_or(Ok(()), |server| signal_with_descendants(server, signal))
    }

    /// The server's first process, which is no child of Patroni's.
    fn server(&self) -> Option<u32> {
        let file = fs::read_to_string(self.folder.join("data/postmaster.pid")).ok()?;
        let id = file.lines().next()?.parse().ok()?;
        // The file outlives a server that was killed, and another process may have its number.
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        command.contains(self.folder.to_str()?).then_some(id)
    }

    fn psql(&self, statement: &str) -> Result<String> {
        self.psql_in("postgres", statement)
    }

    fn psql_in(&self, database: &str, statement: &str) -> Result<String> {
        let mut psql = server_program("psql")?;
        psql.arg("-h").arg(&self.folder).args(["-p", &self.port.to_string(), "-U", "postgres", "-d", database]);
        // Where no standby is left a commit waits for one.
        psql.env("PGOPTIONS", "-c synchronous_commit=local").env("PGCONNECT_TIMEOUT", "5");
        let output = psql.args(["-v", "ON_ERROR_STOP=1", "-qAt", "-c", statement]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Asks Patroni; an error unless it says yes.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.rest_port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(stream, "{method} {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if status != "200" {
            bail!("Patroni: {answer}");
        }
        Ok(answer)
    }

    /// The file that Patroni reads. What is said at `bootstrap` holds for the whole cluster, and the first to start writes it into etcd.
    fn configuration(&self, number: usize, replication: Replication) -> Result<String> {
        let initdb =
            find_program("initdb").context("initdb is missing; install it with: apt-get install postgresql")?;
        let programs = initdb.parent().context("initdb is in no folder")?.display();
        let [to_server, to_patroni, to_etcd] = self.networks.each_ref().map(Proxy::port);
        let is_synchronous = replication == Replication::Synchronous;
        let (folder, port, rest_port, name) = (self.folder.display(), self.port, self.rest_port, name(number));
        Ok(format!(
            "\
scope: pac
name: {name}
etcd3: {{host: '127.0.0.1:{to_etcd}', use_proxies: true}}
restapi: {{listen: '127.0.0.1:{rest_port}', connect_address: '127.0.0.1:{to_patroni}'}}
bootstrap:
  dcs:
    ttl: {TTL}
    loop_wait: 1
    retry_timeout: 4
    primary_stop_timeout: 3
    synchronous_mode: {is_synchronous}
    synchronous_mode_strict: {is_synchronous}
    postgresql:
      use_pg_rewind: true
      remove_data_directory_on_rewind_failure: true
      remove_data_directory_on_diverged_timelines: true
      pg_hba:
      - local all all trust
      - host all all 127.0.0.1/32 scram-sha-256
      - host replication replicator 127.0.0.1/32 scram-sha-256
  initdb: [{{encoding: UTF8}}, {{locale: C}}, {{auth-local: trust}}, {{auth-host: scram-sha-256}}]
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{to_server}'
  use_unix_socket: true
  data_dir: '{folder}/data'
  bin_dir: '{programs}'
  basebackup: [{{checkpoint: fast}}]
  pgpass: '{folder}/pgpass'
  authentication:
    superuser: {{username: postgres, password: '{PASSWORD}'}}
    replication: {{username: replicator, password: '{PASSWORD}'}}
  # It needn't wait for the disk: a killed process takes nothing from the kernel that it wrote.
  parameters: {{unix_socket_directories: '{folder}', fsync: 'off', wal_sender_timeout: 3s}}
"
        ))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Asked to end, it would first hand over to another.
        if let Err(error) = self.kill() {
            eprintln!("warning: {error:#}");
        }
    }
}

fn name(number: usize) -> String {
    format!("node-{number}")
}
