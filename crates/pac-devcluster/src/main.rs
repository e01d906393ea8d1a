//! `pac-devcluster serve`: the server as a process of its own, for the demo.

use std::{io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use pac_devcluster::{DevCluster, Kubernetes, Options, PacPlayer, Secrets, TektonPlayer};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(version, about = "Plays a Kubernetes API server, for the demo and the tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C; the first line of the output is the URL.
    Serve(Serve),
}

#[derive(Args)]
struct Serve {
    /// Where to listen; loopback only, port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    address: SocketAddr,
    /// Which Kubernetes to be, from 1.28 on: what it doesn't have isn't served.
    #[arg(long, default_value = "1.36", value_parser = minor, value_name = "VERSION")]
    kubernetes: u8,
    /// Serve beta APIs, such as mutating admission policies from 1.34 on.
    #[arg(long)]
    beta_apis: bool,
    /// Write a kubeconfig to this file.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// How long runs take once started, such as 250ms, 2s or 1m.
    #[arg(long, default_value = "2s", value_parser = duration)]
    run_duration: Duration,
    /// Play Pipelines-as-Code, so far; `POST /_dev/pac` has it make the runs of an event.
    #[arg(long, value_enum, value_name = "PART")]
    pac: Option<Part>,
    /// Who makes the Secrets of runs, if not the watcher, or the controller where there is none.
    #[arg(long, value_enum, requires = "pac", value_name = "WHO")]
    pac_secrets: Option<Maker>,
    /// How many requests a second the controller and the watcher of Pipelines-as-Code make.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pac_requests_per_second: u32,
    /// Leave it to `POST /_dev/pac` to start the watcher of Pipelines-as-Code.
    #[arg(long, requires = "pac")]
    watcher_later: bool,
    /// Have the watcher of Pipelines-as-Code be a Deployment with pods, which may be scaled and restarted.
    #[arg(long, requires = "pac", conflicts_with = "watcher_later")]
    pac_deployed: bool,
    /// Have an operator own that Deployment: it writes back what others write into it.
    #[arg(long, requires = "pac_deployed")]
    pac_operator: bool,
    /// How long the Git provider of Pipelines-as-Code takes to answer.
    #[arg(long, default_value = "30ms", value_parser = duration)]
    provider_latency: Duration,
    /// Leave runs alone instead of playing Tekton.
    #[arg(long)]
    no_tekton: bool,
}

/// How much of Pipelines-as-Code there is.
#[derive(Clone, Copy, ValueEnum)]
enum Part {
    /// Its controller, which makes runs and their Secrets.
    Controller,
    /// Its watcher as well, which makes the Secrets and reports, and whose queue starts nothing.
    Reports,
    /// All of it.
    Queue,
}

/// Who makes the Secrets of runs.
#[derive(Clone, Copy, ValueEnum)]
enum Maker {
    /// The watcher, after the run.
    Watcher,
    /// The controller, before the run, as formerly.
    Controller,
    /// Nobody: `secret-auto-create` is false.
    Nobody,
}

// === impl Serve ===

impl Serve {
    fn pac(&self) -> Option<PacPlayer> {
        let (watcher, queue, maker) = match self.pac? {
            Part::Controller => (false, false, Maker::Controller),
            Part::Reports => (true, false, Maker::Watcher),
            Part::Queue => (true, true, Maker::Watcher),
        };
        let secrets = match self.pac_secrets.unwrap_or(maker) {
            Maker::Watcher => Secrets::ByWatcher,
            Maker::Controller => Secrets::ByController,
            Maker::Nobody => Secrets::Off,
        };
        let (watcher, provider_latency) = (watcher && !self.watcher_later, self.provider_latency);
        let requests_per_second = self.pac_requests_per_second;
        let (deployed, operator) = (self.pac_deployed, self.pac_operator);
        Some(PacPlayer {
            requests_per_second,
            watcher,
            deployed,
            operator,
            queue,
            secrets,
            provider_latency,
            ..PacPlayer::default()
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Command::Serve(settings) = Cli::parse().command;
    let tekton = TektonPlayer { duration: settings.run_duration.into(), ..TektonPlayer::default() };
    let tekton = (!settings.no_tekton).then_some(tekton);
    let mut terminated = signal(SignalKind::terminate())?;
    let pac = settings.pac();
    let kubernetes = Kubernetes { minor: settings.kubernetes, beta_apis: settings.beta_apis };
    let options = Options { address: settings.address, kubernetes, tekton, pac, ..Options::default() };
    let cluster = DevCluster::start(options).await?;
    if let Some(path) = settings.kubeconfig {
        std::fs::write(&path, cluster.kubeconfig()).with_context(|| format!("can't write {}", path.display()))?;
    }
    let mut output = std::io::stdout();
    writeln!(output, "{}", cluster.url())?;
    output.flush()?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    cluster.shutdown().await;
    Ok(())
}

fn minor(text: &str) -> Result<u8, String> {
    let minor = text.strip_prefix("1.").and_then(|minor| minor.parse().ok());
    minor.filter(|minor| *minor >= 28).ok_or_else(|| "1.28 or later".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    pac_devcluster::parse_duration(text).ok_or_else(|| "a number and a unit, such as 250ms, 2s or 1m".to_owned())
}
