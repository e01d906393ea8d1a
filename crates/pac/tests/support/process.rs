//! A watcher as a process.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pac_devservers::free_port;
use pac_devservers::process::Child;

use super::eventually;

/// See the [module](self). Its readiness is looked at all the time, as a kubelet does.
pub(crate) struct Watcher {
    process: Child,
    pub(crate) probe_port: u16,
    pub(crate) metrics_port: u16,
    pub(crate) admin_port: u16,
    log: PathBuf,
    started: Instant,
    kubelet: Option<Kubelet>,
}

struct Kubelet {
    stop: Arc<AtomicBool>,
    /// Every change of what `/ready` says.
    said: Arc<Mutex<Vec<bool>>>,
    looking: JoinHandle<()>,
}

// === impl Watcher ===

impl Watcher {
    /// Of today's version. `arguments` come after those that say which cluster and which ports.
    pub(crate) fn start(identity: &str, kubeconfig: &Path, folder: &Path, arguments: &[&str]) -> Self {
        Self::of(Path::new(env!("CARGO_BIN_EXE_pac-watcher")), identity, kubeconfig, folder, arguments)
    }

    /// The same of another version's program.
    pub(crate) fn of(program: &Path, identity: &str, kubeconfig: &Path, folder: &Path, arguments: &[&str]) -> Self {
        let (probe_port, metrics_port, admin_port) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
        let address = |port: u16| format!("127.0.0.1:{port}");
        let log = folder.join(format!("{identity}-{probe_port}.log"));
        let file = fs::File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--identity", identity]);
        command.env("PAC_WATCHER_LOG_LEVEL", "debug");
        command.args(["--probe-addr", &address(probe_port), "--metrics-addr", &address(metrics_port)]);
        command.args(["--admin-addr", &address(admin_port)]).args(arguments);
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let process = Child::spawn("pac-watcher", command).unwrap();
        let kubelet = Some(Kubelet::start(probe_port));
        Self { process, probe_port, metrics_port, admin_port, log, started: Instant::now(), kubelet }
    }

    /// Waits until `/ready` says so, or not.
    pub(crate) fn becomes_ready(&mut self, ready: bool) {
        eventually(&format!("ready: {ready}"), || {
            assert!(self.process.ended().unwrap().is_none(), "the watcher ended:\n{}", self.log());
            is_ready(self.probe_port) == ready
        });
    }

    /// How what `/ready` says has changed since the start.
    pub(crate) fn readiness(&self) -> Vec<bool> {
        self.kubelet.as_ref().unwrap().said.lock().unwrap().clone()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Body of a GET on one of its ports.
    pub(crate) fn get(port: u16, path: &str) -> String {
        ask(port, path).map(|(_, body)| body).unwrap_or_default()
    }

    /// SIGTERM; it must end by itself, with code 0.
    pub(crate) fn stop(&mut self) {
        let ended = self.process.stop().unwrap();
        assert!(ended.success(), "{ended}:\n{}", self.log());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill_group().unwrap();
    }

    /// SIGSTOP or SIGCONT.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Some(kubelet) = self.kubelet.take() {
            kubelet.stop.store(true, Ordering::Relaxed);
            let _ = kubelet.looking.join();
        }
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

// === impl Kubelet ===

impl Kubelet {
    fn start(probe_port: u16) -> Self {
        let (stop, said) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(vec![false])));
        let (stopped, saying) = (Arc::clone(&stop), Arc::clone(&said));
        let looking = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let ready = is_ready(probe_port);
                let mut said = saying.lock().unwrap();
                if said.last() != Some(&ready) {
                    said.push(ready);
                }
                drop(said);
                std::thread::sleep(Duration::from_millis(50)); // a kubelet looks far less often
            }
        });
        Self { stop, said, looking }
    }
}

fn is_ready(port: u16) -> bool {
    ask(port, "/ready").is_some_and(|(status, _)| status == 200)
}

/// Status and body; none while nobody answers.
pub(crate) fn ask(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}
