//! Where it is played: on a development cluster, or on the API server that `PAC_TEST_KUBECONFIG` names.

use std::time::Duration;

use anyhow::{Context, Result};
use pac_concurrency::RunKey;
use pac_devcluster::TektonPlayer;
use pac_devcluster::verdict::{Verdict, VerdictOptions};

use super::client::client;
use super::real::RealCluster;
use crate::store::Server;
use crate::watcher::Watcher;
use crate::world::{World, namespace, run};

/// Names the kubeconfig of a real API server, with the two CRDs and without Tekton's and PAC's own controllers.
pub(crate) const REAL: &str = "PAC_TEST_KUBECONFIG";

/// See the [module](self).
pub(super) enum Stage {
    Development(World),
    Real(RealCluster),
}

/// Whether it is played on a real API server.
pub(crate) fn is_real() -> bool {
    std::env::var_os(REAL).is_some()
}

/// How the clusters are called in the table.
pub(super) fn title() -> String {
    let place = if is_real() { "a real API server" } else { "the development cluster" };
    format!("Hand-off on {place}")
}

// === impl Stage ===

impl Stage {
    pub(super) async fn new(server: &Server) -> Result<Self> {
        match std::env::var_os(REAL) {
            Some(kubeconfig) => Ok(Self::Real(RealCluster::new(kubeconfig.into(), server).await?)),
            None => Ok(Self::Development(World::new(Some(TektonPlayer::default()), server).await?)),
        }
    }

    pub(super) async fn repository(&self, number: usize, limit: u32) -> Result<()> {
        match self {
            Self::Development(world) => world.repository(number, limit),
            Self::Real(cluster) => cluster.repository(number, limit).await,
        }
    }

    /// Queues run `number` of Repository `of`, which will take `duration`.
    pub(super) async fn queue(&self, of: usize, number: usize, duration: Duration) -> Result<RunKey> {
        let world = match self {
            Self::Development(world) => world,
            Self::Real(cluster) => return cluster.queue(of, number, duration).await,
        };
        world.queue(of, number, duration)?;
        let object = world.run(of, number)?;
        let uid = object.pointer("/metadata/uid").and_then(|uid| uid.as_str()).context("a run without a uid")?;
        Ok(RunKey::new(&namespace(of), &run(number), uid)?)
    }

    pub(super) fn watcher(&self) -> Result<Watcher> {
        match self {
            Self::Development(world) => Watcher::start(world.kubeconfig(), world.folder(), &[]),
            Self::Real(cluster) => cluster.watcher(),
        }
    }

    /// How many runs are done.
    pub(super) fn done(&self) -> Result<usize> {
        match self {
            Self::Development(world) => world.done(),
            Self::Real(cluster) => cluster.done(),
        }
    }

    /// What the history says of the promises; an error if one was broken.
    pub(super) fn verdict(&self) -> Result<Verdict> {
        match self {
            Self::Development(world) => world.verdict(&VerdictOptions::default()),
            Self::Real(cluster) => cluster.verdict(),
        }
    }

    pub(super) async fn client(&self) -> Result<kube::Client> {
        match self {
            Self::Development(world) => client(world.kubeconfig()).await,
            Self::Real(cluster) => Ok(cluster.client()),
        }
    }

    pub(super) async fn end(self) -> Result<()> {
        match self {
            Self::Development(world) => world.end().await,
            Self::Real(cluster) => cluster.end().await?,
        }
        Ok(())
    }
}
