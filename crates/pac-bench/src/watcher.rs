//! The watcher as the process it is in a cluster, and what it takes of the machine.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use pac_devservers::free_port;
use pac_devservers::process::Child;

/// See the [module](self). It ends when dropped.
#[derive(Debug)]
pub(crate) struct Watcher {
    process: Child,
    probe_port: u16,
    metrics_port: u16,
    log: PathBuf,
    started: Instant,
}

/// Memory in mebibytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// At the moment.
    pub(crate) resident: f64,
    /// The most it ever was.
    pub(crate) peak: f64,
}

// === impl Watcher ===

impl Watcher {
    /// The program beside this one, built with the same optimizations, on the cluster that `kubeconfig` names. Its log goes
    /// into `folder`; `arguments` come last.
    pub(crate) fn start(kubeconfig: &Path, folder: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_under(None, kubeconfig, folder, arguments)
    }

    /// The same, run by another program that becomes it.
    pub(crate) fn start_under(
        wrapper: Option<Command>,
        kubeconfig: &Path,
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("pac-watcher");
        let (probe_port, metrics_port, address) = (free_port()?, free_port()?, |port: u16| format!("127.0.0.1:{port}"));
        let log = folder.join("watcher.log");
        let output = File::options().create(true).append(true).open(&log)?;
        let mut command = match wrapper {
            None => Command::new(&program),
            Some(mut wrapper) => {
                wrapper.arg(&program);
                wrapper
            }
        };
        command.arg("run").arg("--kubeconfig").arg(kubeconfig).args(["--identity", "bench"]);
        command.args(["--probe-addr", &address(probe_port), "--metrics-addr", &address(metrics_port)]);
        command.args(["--admin-addr", &address(free_port()?)]).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let started = Instant::now();
        let process = Child::spawn("pac-watcher", command).with_context(|| program.display().to_string())?;
        Ok(Self { process, probe_port, metrics_port, log, started })
    }

    /// Waits until it says that it is ready, and says how long that took from its start.
    pub(crate) async fn ready(&mut self) -> Result<Duration> {
        let url = format!("http://127.0.0.1:{}/ready", self.probe_port);
        while ureq::get(&url).call().is_err() {
            self.check_alive()?;
            if self.started.elapsed() > Duration::from_secs(180) {
                bail!("the watcher was not ready within 3 minutes:\n{}", self.last_words());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(self.started.elapsed())
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// What all its metrics of that name come to, whatever their labels are.
    pub(crate) fn metric(&self, name: &str) -> Result<f64> {
        let text = ureq::get(&format!("http://127.0.0.1:{}/metrics", self.metrics_port)).call()?;
        // A large cluster has more of them than ureq takes by default.
        let text = text.into_body().into_with_config().limit(u64::MAX).read_to_string()?;
        let of_name = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name).filter(|rest| rest.starts_with([' ', '{']))?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        });
        Ok(of_name.sum())
    }

    /// Processor time taken so far, by all threads it has now, to the nanosecond: one that ended meanwhile takes its own with it.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let schedstat = task?.path().join("schedstat");
            // It may have ended just now.
            let Ok(text) = std::fs::read_to_string(&schedstat) else { continue };
            let taken = text.split(' ').next().and_then(|first| first.parse::<u64>().ok());
            nanoseconds += taken.with_context(|| format!("{} is not what it is on Linux", schedstat.display()))?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Memory it has.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
            let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
            anyhow::Ok(kibibytes / 1024.0)
        };
        Ok(Memory { resident: field("VmRSS:")?, peak: field("VmHWM:")? })
    }

    /// Asks it to end, as a kubelet does, and insists that it ends well.
    pub(crate) fn stop(mut self) -> Result<()> {
        let status = self.process.stop()?;
        if !status.success() {
            bail!("the watcher ended with {status}:\n{}", self.last_words());
        }
        Ok(())
    }

    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.process.ended()? {
            Some(status) => bail!("the watcher ended by itself with {status}:\n{}", self.last_words()),
            None => Ok(()),
        }
    }

    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
