//! `pac-devcluster serve`: the server as a process of its own, for the demo.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use pac_devcluster::{DevCluster, Options};

#[derive(Parser)]
#[command(version, about = "Plays a Kubernetes API server, for the demo and the tests")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C.
    Serve {
        /// Where to listen; loopback only, port 0 takes a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        address: SocketAddr,
        /// Write a kubeconfig here.
        #[arg(long)]
        kubeconfig: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Command::Serve { address, kubeconfig } = Cli::parse().command;
    let cluster = DevCluster::start(Options { address, ..Options::default() }).await?;
    if let Some(path) = kubeconfig {
        std::fs::write(path, cluster.kubeconfig())?;
    }
    #[allow(clippy::print_stdout, reason = "the line that says where it listens is its output")]
    {
        println!("{}", cluster.url());
    }
    tokio::signal::ctrl_c().await?;
    cluster.shutdown().await;
    Ok(())
}
