//! A Prometheus of one's own, in a folder that goes with it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::find::{find, free_port};
use crate::process::{Child, wait_until};

/// A running server that scrapes some ports of this machine.
#[derive(Debug)]
pub struct Prometheus {
    server: Child,
    port: u16,
    folder: TempDir,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts a server that scrapes `/metrics` at `ports` twice a second, exemplars included, and judges `rules` (a file of
    /// rules, as YAML or JSON) as often. Waits until it answers.
    ///
    /// # Errors
    ///
    /// If there is no Prometheus on this machine, it doesn't take the rules, or it doesn't come up within 30 seconds.
    pub fn start(ports: &[u16], rules: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("pac-prometheus-").tempdir()?;
        let targets: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs:\n\
             - job_name: pac-concurrency-watcher\n  \
               honor_labels: true\n  \
               static_configs: [{{targets: [{}]}}]\n",
            targets.join(", ")
        );
        fs::write(folder.path().join("rules.yaml"), rules)?;
        fs::write(folder.path().join("prometheus.yaml"), config)?;
        let port = free_port()?;
        let program =
            find("prometheus").context("prometheus is missing; install it with: apt-get install prometheus")?;
        let mut server = Command::new(program);
        server.arg(format!("--config.file={}", folder.path().join("prometheus.yaml").display()));
        server.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        server.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=warn");
        server.arg("--enable-feature=exemplar-storage");
        let log = fs::File::create(folder.path().join("log"))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut prometheus = Self { server: Child::spawn("Prometheus", server)?, port, folder };
        wait_until("Prometheus answers", Duration::from_secs(30), || prometheus.answers())?;
        Ok(prometheus)
    }

    /// Where it answers, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn answers(&mut self) -> Result<bool> {
        if let Some(status) = self.server.ended()? {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            anyhow::bail!("Prometheus ended ({status}): {log}");
        }
        Ok(self.is_ready().unwrap_or(false))
    }

    /// It listens before it is ready to answer queries.
    fn is_ready(&self) -> io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.0 200"))
    }
}
