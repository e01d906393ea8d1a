//! etcd of the test's own: one member or several, on loopback, in a folder that goes with it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use etcd_client::{Client, GetOptions, KvClient};
use pac_concurrency::RepositoryKey;
use pac_devservers::process::{Child, wait_until};
use pac_devservers::proxy::{Passage, Proxy};
use pac_devservers::{find, free_port};
use tempfile::TempDir;

/// How the servers are started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// Arguments besides the usual ones.
    pub(crate) arguments: Vec<String>,
    /// Whether clients connect with TLS.
    pub(crate) tls: bool,
}

/// A cluster; each member is ended by its id when this is dropped.
pub(crate) struct Cluster {
    members: Vec<Member>,
    options: Options,
    folder: TempDir,
}

struct Member {
    server: Option<Child>,
    port: u16,
    peer_port: u16,
    /// What the other members connect to.
    from_peers: Proxy,
}

// === impl Cluster ===

impl Cluster {
    /// `count` members that answer.
    pub(crate) fn start(count: usize) -> Self {
        Self::start_with(count, Options::default())
    }

    pub(crate) fn start_with(count: usize, options: Options) -> Self {
        let member = || {
            let peer_port = free_port().unwrap();
            let from_peers = Proxy::start(peer_port).unwrap();
            Member { server: None, port: free_port().unwrap(), peer_port, from_peers }
        };
        let folder = tempfile::Builder::new().prefix("pac-etcd-").tempdir().unwrap();
        let mut cluster = Self { members: (0..count).map(|_| member()).collect(), options, folder };
        for number in 0..count {
            cluster.members[number].server = Some(cluster.spawn(number));
        }
        for number in 0..count {
            cluster.wait_for(number);
        }
        cluster
    }

    /// Where clients connect, all members.
    pub(crate) fn endpoints(&self) -> String {
        let endpoints: Vec<String> = (0..self.members.len()).map(|number| self.endpoint(number)).collect();
        endpoints.join(",")
    }

    /// Where clients connect to one member.
    pub(crate) fn endpoint(&self, number: usize) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.members[number].port)
    }

    pub(crate) fn port(&self, number: usize) -> u16 {
        self.members[number].port
    }

    /// Ends a member as a power cut would.
    pub(crate) fn kill(&mut self, number: usize) {
        if let Some(mut server) = self.members[number].server.take() {
            server.kill_group().unwrap();
        }
    }

    /// Starts a killed member on the data it had.
    pub(crate) fn restart(&mut self, number: usize) {
        self.kill(number);
        self.members[number].server = Some(self.spawn(number));
        self.wait_for(number);
    }

    /// Starts the only member anew without its data, as if restored from a backup of before the first key.
    pub(crate) fn start_over(&mut self) {
        self.kill(0);
        fs::remove_dir_all(self.folder.path().join("member-0")).unwrap();
        self.restart(0);
    }

    /// Keeps what the only member has, for [`Cluster::restore`].
    pub(crate) fn back_up(&mut self) {
        self.kill(0);
        self.copy("member-0", "backup");
        self.restart(0);
    }

    /// Starts the only member with what it had at [`Cluster::back_up`].
    pub(crate) fn restore(&mut self) {
        self.kill(0);
        fs::remove_dir_all(self.folder.path().join("member-0")).unwrap();
        self.copy("backup", "member-0");
        self.restart(0);
    }

    fn copy(&self, from: &str, to: &str) {
        let [from, to] = [from, to].map(|name| self.folder.path().join(name));
        assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    }

    /// Stops a member without ending it: it keeps its connections, and says nothing.
    pub(crate) fn freeze(&self, number: usize) {
        self.signal(number, "STOP");
        let tasks = format!("/proc/{}/task", self.members[number].server.as_ref().unwrap().id());
        let is_stopped = |task: fs::DirEntry| {
            // A thread that has just ended is as good as one that is stopped.
            fs::read_to_string(task.path().join("stat")).map_or(true, |stat| stat.contains(") T "))
        };
        let all_stopped = || Ok(fs::read_dir(&tasks)?.flatten().all(is_stopped));
        wait_until("every thread is stopped", Duration::from_secs(10), all_stopped).unwrap();
    }

    /// Cuts a member off from the others, while clients still reach it: nothing it has to say arrives.
    pub(crate) fn cut_off(&self, number: usize) {
        self.members[number].from_peers.set(Passage::Held);
    }

    pub(crate) fn join_again(&self, number: usize) {
        self.members[number].from_peers.set(Passage::Open);
    }

    pub(crate) fn thaw(&self, number: usize) {
        self.signal(number, "CONT");
    }

    /// The member that leads.
    pub(crate) async fn leader(&self) -> usize {
        for number in 0..self.members.len() {
            let mut client = Client::connect([self.endpoint(number)], None).await.unwrap();
            let status = client.status().await.unwrap();
            if status.header().unwrap().member_id() == status.leader() {
                return number;
            }
        }
        unreachable!("a cluster that answers has a leader")
    }

    /// A client of the test's own, on the first member.
    pub(crate) async fn client(&self) -> Client {
        Client::connect([self.endpoint(0)], None).await.unwrap()
    }

    pub(crate) async fn kv(&self) -> KvClient {
        self.client().await.kv_client()
    }

    /// When `repository` was last written.
    pub(crate) async fn revision(&self, repository: &RepositoryKey) -> i64 {
        let key = format!("/pac/concurrency/v2/version/{repository}");
        self.kv().await.get(key, None).await.unwrap().kvs()[0].mod_revision()
    }

    /// All keys that begin with `prefix`.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let options = GetOptions::new().with_prefix().with_keys_only();
        let found = self.kv().await.get(prefix, Some(options)).await.unwrap();
        found.kvs().iter().map(|pair| String::from_utf8_lossy(pair.key()).into_owned()).collect()
    }

    /// How many requests on keys the first member has had so far, by what it tells Prometheus.
    pub(crate) fn requests(&self) -> u64 {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port(0))).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut metrics = String::new();
        stream.read_to_string(&mut metrics).unwrap();
        let of_keys = r#"grpc_service="etcdserverpb.KV""#;
        let started = metrics
            .lines()
            .filter(|line| line.starts_with("grpc_server_started_total{") && line.contains(of_keys))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap());
        started.sum()
    }

    /// Runs etcdctl on the first member; what it answers.
    pub(crate) fn etcdctl(&self, arguments: &[&str]) -> Result<String, String> {
        let program = find("etcdctl").expect("etcdctl is missing; install it with: apt-get install etcd-client");
        let mut command = Command::new(program);
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(self.endpoint(0)).args(arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn spawn(&self, number: usize) -> Child {
        let member = &self.members[number];
        let program = find("etcd").expect("etcd is missing; install it with: apt-get install etcd-server");
        let mut command = Command::new(program);
        let name = |number: usize| format!("member-{number}");
        let peer = |member: &Member| format!("http://127.0.0.1:{}", member.from_peers.port());
        let listens = format!("http://127.0.0.1:{}", member.peer_port);
        let members: Vec<String> = self
            .members
            .iter()
            .enumerate()
            .map(|(number, member)| format!("{}={}", name(number), peer(member)))
            .collect();
        command.args(["--name", &name(number), "--initial-cluster", &members.join(",")]);
        command.arg("--data-dir").arg(self.folder.path().join(name(number)));
        command.args([
            "--listen-client-urls",
            &self.endpoint(number),
            "--advertise-client-urls",
            &self.endpoint(number),
        ]);
        command.args(["--listen-peer-urls", &listens, "--initial-advertise-peer-urls", &peer(member)]);
        command.args(&self.options.arguments);
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Child::spawn("etcd", command).unwrap()
    }

    /// Waits until a member takes connections, which it does once it has joined the cluster.
    fn wait_for(&self, number: usize) {
        let port = self.members[number].port;
        let answers = || Ok(TcpStream::connect(("127.0.0.1", port)).is_ok());
        wait_until("etcd answers", Duration::from_secs(30), answers).unwrap_or_else(|error| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            panic!("{error:#}\n{log}")
        });
    }

    fn signal(&self, number: usize, signal: &str) {
        let server = self.members[number].server.as_ref().unwrap();
        assert!(Command::new("kill").args(["-s", signal, &server.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // One that is frozen would never hear that it is to end; and nothing of it is wanted any more.
        for number in 0..self.members.len() {
            self.kill(number);
        }
    }
}
