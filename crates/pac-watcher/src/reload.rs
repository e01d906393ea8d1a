//! Settings from the cluster (or a file), followed while they change.
//!
//! At start, settings that can't be used end the process with every problem named: exit code 2. Later ones that can't be
//! used change nothing: the last good ones stay, the log says so, and a metric counts it.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use pac_config::{Disk, Problems, Resolved, Settings, Sources, resolve};
use pac_metrics::catalogue;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::error::{WatcherError, with_causes};
use crate::health::{Health, NotInForce, Part};
use crate::leader::insist_on_election;
use crate::list_watch::{ListWatch, News};
use crate::options::SettingsPlace;
use crate::{backoff, cluster};

/// How often everything is read again, told of a change or not: the Secret and files are not watched.
const READ_EVERY: Duration = Duration::from_secs(10);

/// Where settings come from.
#[derive(Clone)]
pub enum SettingsSource {
    /// A local YAML file.
    File(PathBuf),
    /// A ConfigMap and a Secret of one namespace.
    Cluster {
        /// How to get at them.
        client: Client,
        /// Their namespace.
        namespace: String,
        /// The ConfigMap's name.
        config_map: String,
        /// The Secret's name.
        secret: String,
        /// How long one request may take.
        request_timeout: Duration,
    },
}

// === impl SettingsSource ===

impl SettingsSource {
    /// A source at `place`; `client` is used unless that is a file.
    pub fn cluster(client: Client, place: &SettingsPlace) -> Self {
        match &place.config_file {
            Some(path) => Self::File(path.clone()),
            None => Self::Cluster {
                client,
                namespace: place.namespace.clone(),
                config_map: place.config_map.clone(),
                secret: place.secret.clone(),
                request_timeout: place.request_timeout,
            },
        }
    }

    /// A source at `place`, with a client of its own if that is in a cluster.
    pub async fn at(place: &SettingsPlace) -> Result<Self, WatcherError> {
        match &place.config_file {
            Some(path) => Ok(Self::File(path.clone())),
            None => Ok(Self::cluster(cluster::client(place).await?, place)),
        }
    }

    /// Reads everything; an error says why the cluster could not be asked. A ConfigMap that is missing is an empty one.
    pub async fn read(&self) -> Result<Result<Resolved, Problems>, String> {
        Ok(resolve(&self.sources().await?, &Disk))
    }

    /// What settings are made from; an error says why the cluster could not be asked. A ConfigMap that is missing is an
    /// empty one.
    pub async fn sources(&self) -> Result<Sources, String> {
        Ok(self.existing_sources().await?.unwrap_or_else(|| match self {
            Self::Cluster { namespace, config_map, .. } => {
                environment().with_missing(format!("ConfigMap {namespace}/{config_map}"))
            }
            Self::File(_) => environment(),
        }))
    }

    /// Reads everything; nothing if the ConfigMap is missing.
    async fn read_existing(&self) -> Result<Option<Result<Resolved, Problems>>, String> {
        Ok(self.existing_sources().await?.map(|sources| resolve(&sources, &Disk)))
    }

    async fn existing_sources(&self) -> Result<Option<Sources>, String> {
        Ok(Some(match self {
            Self::File(path) => environment().with_local_file(path, &Disk),
            Self::Cluster { client, namespace, config_map, secret, request_timeout } => {
                let found = answer(client, namespace, config_map, *request_timeout).await?;
                let Some(ConfigMap { data, .. }) = found else { return Ok(None) };
                let sources =
                    environment().with_config_map(&format!("{namespace}/{config_map}"), data.unwrap_or_default());
                let name = format!("{namespace}/{secret}");
                match answer::<Secret>(client, namespace, secret, *request_timeout).await? {
                    None => sources.with_missing(format!("Secret {name}")),
                    Some(found) => {
                        let data = found.data.unwrap_or_default().into_iter();
                        sources.with_secret(&name, data.map(|(key, value)| (key, value.0)))
                    }
                }
            }
        }))
    }

    /// Reads until the cluster answers. Settings that can't be used are an error.
    pub async fn read_first(&self, health: &Health) -> Result<Settings, WatcherError> {
        let mut failures = 0;
        loop {
            match self.read().await {
                Ok(Ok(resolved)) => {
                    health.fine(Part::ApiServer);
                    log_warnings(&resolved);
                    return Ok(resolved.settings);
                }
                Ok(Err(problems)) => return Err(WatcherError::Settings(problems.to_string())),
                Err(why) => health.trouble(Part::ApiServer, why),
            }
            tokio::time::sleep(backoff::wait(Duration::from_millis(200), READ_EVERY, failures)).await;
            failures += 1;
        }
    }

    /// Follows the settings for ever, into `settings`; `elected` is whether one of several watchers leads.
    pub async fn follow(self, settings: watch::Sender<Arc<Settings>>, health: Arc<Health>, elected: bool) {
        let changed = Arc::new(Notify::new());
        let watching = self.clone().watch(Arc::clone(&changed));
        let reading = async {
            let mut reported = None;
            loop {
                tokio::select! {
                    () = changed.notified() => {}
                    () = tokio::time::sleep(READ_EVERY) => {}
                }
                // A cluster that can't be asked keeps what it said last; so does one whose ConfigMap is being replaced.
                match self.read_existing().await {
                    Ok(Some(Ok(resolved))) => match insist_on_election(&resolved.settings, elected) {
                        Ok(()) => {
                            reported = None;
                            take_in(&resolved, &settings, &health);
                        }
                        Err(why) => report_once(&mut reported, why, &health),
                    },
                    Ok(Some(Err(problems))) => report_once(&mut reported, problems.to_string(), &health),
                    Ok(None) => report_once(&mut reported, "their ConfigMap is gone".to_owned(), &health),
                    Err(_) => {}
                }
            }
        };
        tokio::join!(watching, reading);
    }

    async fn watch(self, changed: Arc<Notify>) {
        let Self::Cluster { client, namespace, config_map, .. } = self else { return };
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        let mut versions = ListWatch::new(api).fields(&format!("metadata.name={config_map}"));
        loop {
            if let Ok(News::ListEnded | News::Applied(_) | News::Deleted(_)) = versions.next().await {
                changed.notify_one();
            }
        }
    }
}

fn take_in(resolved: &Resolved, settings: &watch::Sender<Arc<Settings>>, health: &Health) {
    health.fine(Part::Settings);
    health.settings_in_force(NotInForce::Unusable);
    let before = Arc::clone(&settings.borrow());
    if *before != resolved.settings {
        catalogue::CONFIG_RELOADS.count(&["applied"], 1);
        info!(changed = before.difference(&resolved.settings).join(", "), "the settings changed");
        log_warnings(resolved);
        settings.send_replace(Arc::new(resolved.settings.clone()));
    }
}

/// Says that new settings are not used, and counts it when it is news.
fn report_once(reported: &mut Option<String>, why: String, health: &Health) {
    let in_a_line = why.lines().map(str::trim).collect::<Vec<_>>().join("; ");
    health.settings_not_in_force(
        NotInForce::Unusable,
        format!("they can't be used any more, and the last good ones stay in force: {in_a_line}"),
    );
    if reported.as_ref() != Some(&why) {
        catalogue::CONFIG_RELOADS.count(&["refused"], 1);
        *reported = Some(why);
    }
}

fn log_warnings(resolved: &Resolved) {
    for warning in &resolved.warnings {
        warn!(key = warning.key, "{}: {}", warning.key, warning.message);
    }
}

fn environment() -> Sources {
    Sources::new().with_environment(std::env::vars_os())
}

/// The object of this name, if there is one; an error says why the cluster could not tell.
async fn answer<K>(client: &Client, namespace: &str, name: &str, within: Duration) -> Result<Option<K>, String>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let why = match tokio::time::timeout(within, api.get_opt(name)).await {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => with_causes(&error),
        Err(_) => format!("no answer from the API server within {within:?}"),
    };
    Err(format!("can't read {} {namespace}/{name}: {why}", K::kind(&())))
}
