//! Plays a Kubernetes API server in process, for the demo and the tests.
//!
//! Where there is no cluster, the watcher, the real kube client and kubectl talk to this server over real HTTP. It
//! answers as a kube-apiserver does, failures included: `tests/recordings` holds what a real one said, and
//! `tests/replay.rs` asks the same again. It's no Kubernetes: built-in kinds are checked by their types and custom ones
//! hardly, admission knows no deletions, Deployments make no pods but for PAC's watcher, and everybody may do everything (and
//! so it's on loopback only), though it says of others who they are and what they might do ([`Access`]); and nothing outlives
//! the process.
//!
//! # The story of one request
//!
//! `http` accepts a connection, reads the request and finds what it is aimed at. [`Faults`] may strike it. Reads take
//! immutable versions from the [`Store`]; writes (`patch` says what is wanted, `writer` asks `admission` and `schema` what of
//! it may be, `store` says what becomes of it) make one version under one lock, append it to the log of its resource and wake the watches, each a cursor into that log. All
//! versions, in order and with the server's own clock, are in [`DevCluster::history`], from which alone [`verdict`]
//! reads whether the promises of the system were held. With a [`TektonPlayer`], runs that may run do, and end; with a
//! [`PacPlayer`], webhook events become runs.
//!
//! # What it promises
//!
//! - one counter of resourceVersions for the whole server; an update that changes nothing makes no version;
//! - a watch delivers every change of its resource in order, none twice, from the version it starts at, or says 410;
//! - the pages of a list are of one moment, or 410;
//! - the history holds every version that any client could have seen, and no other.
//!
//! # In what order to read
//!
//! `resource` (the table of what there is), `kubernetes` (what of it is served), `store` and its parts, `writer`, `admission`, `watch`, `http`, then `faults`,
//! `tekton`, `pac` and [`verdict`].
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use pac_devcluster::{DevCluster, Options};
//! use serde_json::json;
//!
//! let cluster = DevCluster::start(Options::default()).await?;
//! let run = json!({ "metadata": { "name": "one" }, "spec": { "status": "PipelineRunPending" } });
//! cluster.store().create("pipelineruns", "default", run)?;
//! assert_eq!(cluster.store().list("pipelineruns", None, "")?.len(), 1);
//! cluster.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod access;
mod admission;
mod condition;
mod conversion;
mod discovery;
mod error;
mod events;
mod expression;
mod faults;
mod form;
mod history;
mod http;
mod https;
mod kubernetes;
mod label_selector;
mod natural;
mod object;
mod openapi;
mod pac;
mod patch;
mod protobuf;
mod resource;
mod schema;
mod selector;
mod store;
mod table;
mod tekton;
mod tekton_webhook;
pub mod verdict;
mod watch;
mod writer;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use self::{
    tekton::Player,
    verdict::{Verdict, VerdictOptions},
    writer::Writer,
};
use ::http::{Request, Response};
use bytes::Bytes;
use tokio::{net::TcpListener, task::JoinHandle};

pub use self::{
    access::Access,
    error::ApiError,
    faults::{FaultAction, FaultCommand, FaultId, FaultRule, Faults},
    history::{Change, HistoryLimit, Version},
    http::{Body, Dropped},
    kubernetes::Kubernetes,
    pac::{Pac, PacCommand, PacEvent, PacPlayer, PacRun, Secrets},
    store::Store,
    tekton::{Outcome, RunDuration, TektonPlayer, parse_duration},
};

/// How the server starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens: loopback only; port 0 takes a free one.
    pub address: SocketAddr,
    /// Which Kubernetes it is.
    pub kubernetes: Kubernetes,
    /// Namespaces that exist from the start.
    pub namespaces: Vec<String>,
    /// How much of the past [`DevCluster::history`] holds.
    pub history: HistoryLimit,
    /// How many changes of each resource a watch can start behind; an older start gets 410.
    pub watch_window: usize,
    /// How often watches that allow bookmarks get one.
    pub bookmark_interval: Duration,
    /// The resourceVersion before the first change.
    pub first_revision: u64,
    /// Plays Tekton with these settings; without, nobody but the tests gives runs a status.
    pub tekton: Option<TektonPlayer>,
    /// Plays Pipelines-as-Code with these settings.
    pub pac: Option<PacPlayer>,
    /// What `GET /_dev/verdict` allows for.
    pub verdict: VerdictOptions,
}

/// Why the server didn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It has no authentication, so it's for this machine alone.
    #[error("the address {0} isn't on loopback; this server has no authentication and serves this machine alone")]
    NotLoopback(SocketAddr),
    /// The address can't be bound.
    #[error("can't listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct DevCluster {
    server: Arc<http::Server>,
    tasks: Vec<JoinHandle<()>>,
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        let namespaces = ["default", "kube-node-lease", "kube-public", "kube-system", "pipelines-as-code"];
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            kubernetes: Kubernetes::default(),
            namespaces: namespaces.map(str::to_owned).to_vec(),
            history: HistoryLimit::All,
            watch_window: 200_000,
            bookmark_interval: Duration::from_secs(60),
            first_revision: 0,
            tekton: None,
            pac: None,
            verdict: VerdictOptions { ended: false, ..VerdictOptions::default() },
        }
    }
}

// === impl DevCluster ===

impl DevCluster {
    /// Starts a server; must run inside a Tokio runtime.
    ///
    /// # Errors
    /// If the address isn't on loopback or can't be bound.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let address = options.address;
        if !address.ip().is_loopback() {
            return Err(StartError::NotLoopback(address));
        }
        let bind = |source| StartError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let mut cluster = Self::without_port(Options { address, ..options });
        cluster.tasks.push(tokio::spawn(http::serve(listener, Arc::clone(&cluster.server))));
        Ok(cluster)
    }

    /// A server that listens nowhere: whoever wants something of it calls [`DevCluster::answer`]. Must be called inside a Tokio
    /// runtime. It has no outages of the network then ([`Faults::refuse_connections`]).
    pub fn without_port(options: Options) -> Self {
        let has_webhook = options.tekton.as_ref().is_some_and(|tekton| tekton.webhook);
        let store = Store::new(options.first_revision, options.history, options.watch_window, has_webhook);
        for namespace in &options.namespaces {
            store.ensure_namespace(namespace);
        }
        let (faults, access) = (Faults::new(store.clone()), Access::new(store.clone()));
        let writer = Writer::new(store.clone());
        let mut tasks = Vec::new();
        if let (Some(settings), Some(runs)) = (options.tekton.clone(), resource::by_plural("pipelineruns")) {
            let player = Player::new(settings, store.clone(), writer.clone(), runs);
            tasks.push(tokio::spawn(player.play(faults.control())));
        }
        let pac = options.pac.clone().map(|settings| Pac::start(settings, store.clone(), writer.clone()));
        let (address, applied) = (options.address, Default::default());
        let server = http::Server { address, options, store, access, faults, pac, applied, writer };
        Self { server: Arc::new(server), tasks }
    }

    /// The answer to a request, as it would be given over the network.
    ///
    /// # Errors
    /// If a rule of its [`Faults`] drops the connection.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Body>, Dropped> {
        self.server.answer(request).await
    }

    /// Where it listens: `http://127.0.0.1:34567`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// A kubeconfig for it, as YAML.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: devcluster\n\
             clusters:\n- name: devcluster\n  cluster:\n    server: {}\n\
             users:\n- name: devcluster\n  user: {{}}\n\
             contexts:\n- name: devcluster\n  context:\n    cluster: devcluster\n    user: devcluster\n    \
             namespace: default\n",
            self.url()
        )
    }

    /// What it stores, without HTTP.
    pub fn store(&self) -> &Store {
        &self.server.store
    }

    /// Every version of every object in order, as far as [`Options::history`] keeps them.
    pub fn history(&self) -> Vec<Version> {
        self.server.store.history()
    }

    /// Judges the whole history.
    pub fn verdict(&self, options: &VerdictOptions) -> Verdict {
        verdict::judge(&self.history(), options)
    }

    /// Pipelines-as-Code, where it is played.
    pub fn pac(&self) -> Option<&Pac> {
        self.server.pac.as_ref()
    }

    /// Who has a token.
    pub fn access(&self) -> &Access {
        &self.server.access
    }

    /// The switchboard for faults.
    pub fn faults(&self) -> &Faults {
        &self.server.faults
    }

    /// Stops it and waits until every connection is closed.
    pub async fn shutdown(mut self) {
        self.stop();
        for task in std::mem::take(&mut self.tasks) {
            // It ends by itself now; if it panicked, there's nothing left to stop.
            let _ = task.await;
        }
    }

    fn stop(&self) {
        self.server.faults.stop();
        if let Some(pac) = self.pac() {
            pac.stop();
        }
    }
}

impl Drop for DevCluster {
    fn drop(&mut self) {
        self.stop();
    }
}
