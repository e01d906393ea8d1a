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
use pac_config::{Disk, Problems, Resolved, Settings, Sources, Warning, resolve};
use pac_kube::error::with_causes;
use pac_kube::list_watch::{ListWatch, News};
use pac_kube::{backoff, cluster};
use pac_metrics::catalogue;
use pac_state::health::{Health, NotInForce, Part};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::config_maps::{OWN, with_own, with_pacs, without_own};
use crate::election::Election;
use crate::error::WatcherError;
use crate::in_force::InForce;
use crate::options::SettingsPlace;

/// How often everything is read again, told of a change or not: the Secret and files are not watched.
const READ_EVERY: Duration = Duration::from_secs(10);

/// How often at least, while they can't be read: one that starts and has none to go by may be the only one, and one that goes by those it has
/// may work on a store that others have left.
const READ_AGAIN_EVERY: Duration = Duration::from_secs(2);

/// How often, while somebody waits for it.
const READ_WANTED_EVERY: Duration = Duration::from_secs(1);

/// Where settings come from.
#[derive(Clone)]
pub enum SettingsSource {
    /// A local YAML file.
    File(PathBuf),
    /// PAC's ConfigMap, ours, and a Secret of one namespace.
    Cluster {
        /// How to get at them.
        client: Client,
        /// Their namespace.
        namespace: String,
        /// The name of PAC's ConfigMap.
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
            None => Ok(Self::cluster(cluster::client(place.kubeconfig.as_deref()).await?, place)),
        }
    }

    /// Reads everything; an error says why the cluster could not be asked. What is missing is empty.
    pub async fn read(&self) -> Result<Result<Resolved, Problems>, String> {
        Ok(resolve(&self.sources().await?, &Disk))
    }

    /// What settings are made from; an error says why the cluster could not be asked. What is missing is empty.
    pub async fn sources(&self) -> Result<Sources, String> {
        let mut sources = environment();
        let (client, namespace, config_map, secret, within) = match self {
            Self::File(path) => return Ok(sources.with_local_file(path, &Disk)),
            Self::Cluster { client, namespace, config_map, secret, request_timeout } => {
                (client, namespace, config_map, secret, *request_timeout)
            }
        };
        let name = format!("{namespace}/{config_map}");
        sources = match answer(client, namespace, config_map, within).await? {
            Some(pacs) => with_pacs(sources, &name, pacs),
            None => sources.with_missing(format!("ConfigMap {name}")),
        };
        sources = match answer(client, namespace, OWN, within).await {
            Ok(Some(own)) => with_own(sources, namespace, own),
            Ok(None) if sources.has_settings() => sources,
            Ok(None) => sources.with_missing(format!("ConfigMap {namespace}/{OWN}")),
            // Roles of a version that didn't know it.
            Err(Unread { is_forbidden: true, .. }) => without_own(sources, namespace),
            Err(unread) => return Err(unread.why),
        };
        let name = format!("{namespace}/{secret}");
        Ok(match answer::<Secret>(client, namespace, secret, within).await? {
            None => sources.with_missing(format!("Secret {name}")),
            Some(found) => {
                let data = found.data.unwrap_or_default().into_iter();
                sources.with_secret(&name, data.map(|(key, value)| (key, value.0)))
            }
        })
    }

    /// Reads until the cluster answers; the settings, and what they were made from. Settings that can't be used are an error.
    pub async fn read_first(&self, health: &Health) -> Result<(Settings, Sources), WatcherError> {
        let mut failures = 0;
        loop {
            match self.sources().await {
                Ok(sources) => {
                    let resolved =
                        resolve(&sources, &Disk).map_err(|problems| WatcherError::Settings(problems.to_string()))?;
                    health.fine(Part::ApiServer);
                    log_news(&resolved.warnings, &[]);
                    return Ok((resolved.settings, sources));
                }
                Err(why) => health.trouble(Part::ApiServer, why),
            }
            tokio::time::sleep(backoff::wait(Duration::from_millis(200), READ_AGAIN_EVERY, failures)).await;
            failures += 1;
        }
    }

    /// Keeps the settings in force that the source says, for ever; those there are were made from `good`.
    pub(crate) async fn follow(
        self,
        election: Election,
        mut good: Sources,
        in_force: Arc<InForce>,
        health: Arc<Health>,
    ) {
        let changed = Arc::new(Notify::new());
        let watching = self.clone().watch(Arc::clone(&changed));
        let reading = async {
            let mut reported = None;
            let mut warned = resolve(&good, &Disk).map_or(Vec::new(), |resolved| resolved.warnings);
            let mut wait = READ_EVERY;
            loop {
                tokio::select! {
                    () = changed.notified() => {}
                    () = in_force.reading_wanted(), if wait == READ_EVERY => {}
                    () = tokio::time::sleep(wait) => {}
                }
                let asked = Instant::now();
                // A cluster that can't be asked keeps what it said last; so does one whose ConfigMap is being replaced.
                let sources = match self.sources().await {
                    Ok(sources) => sources,
                    Err(why) if in_force.is_reading_wanted() => {
                        health
                            .trouble(Part::Settings, format!("nobody is admitted by settings that may be old: {why}"));
                        wait = READ_WANTED_EVERY;
                        continue;
                    }
                    Err(_) => {
                        wait = READ_AGAIN_EVERY;
                        continue;
                    }
                };
                wait = READ_EVERY;
                match usable(&sources, &good, &election) {
                    Ok(resolved) => {
                        reported = None;
                        good = sources;
                        take_in(&resolved, &in_force, &health);
                        log_news(&resolved.warnings, &warned);
                        warned = resolved.warnings;
                    }
                    Err(why) => report_once(&mut reported, why, &health),
                }
                health.fine(Part::Settings);
                in_force.note_reading(asked);
            }
        };
        tokio::join!(watching, reading);
    }

    async fn watch(self, changed: Arc<Notify>) {
        let Self::Cluster { client, namespace, config_map, .. } = self else { return };
        let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
        tokio::join!(watch_one(api.clone(), &config_map, &changed), watch_one(api, OWN, &changed));
    }
}

/// What `sources` come to, or why the settings made from `good` stay in force.
fn usable(sources: &Sources, good: &Sources, election: &Election) -> Result<Resolved, String> {
    if let Some(place) = sources.vanished_since(good) {
        return Err(format!(
            "every setting vanished from {place} at once; somebody deleted or overwrote it, which would switch the system off or \
             move it at the next start of a watcher. Put them back, into the ConfigMap {OWN} if PAC's own doesn't keep them; \
             concurrency-enabled: \"false\" switches the system off"
        ));
    }
    let resolved = resolve(sources, &Disk).map_err(|problems| problems.to_string())?;
    election.allows(&resolved.settings)?;
    Ok(resolved)
}

async fn watch_one(api: Api<ConfigMap>, name: &str, changed: &Notify) {
    let mut versions = ListWatch::new(api).fields(&format!("metadata.name={name}"));
    loop {
        if let Ok(News::ListEnded | News::Applied(_) | News::Deleted(_)) = versions.next().await {
            changed.notify_one();
        }
    }
}

/// An object that could not be read.
struct Unread {
    /// Whether that is for want of a right.
    is_forbidden: bool,
    /// What happened, in words.
    why: String,
}

/// Logs the warnings that were not there before.
fn log_news(warnings: &[Warning], before: &[Warning]) {
    for warning in warnings.iter().filter(|warning| !before.contains(warning)) {
        warn!(key = warning.key, "{}: {}", warning.key, warning.message);
    }
}

fn take_in(resolved: &Resolved, in_force: &InForce, health: &Health) {
    health.settings_in_force(NotInForce::Unusable);
    let before = in_force.settings();
    if *before != resolved.settings {
        catalogue::CONFIG_RELOADS.count(&["applied"], 1);
        info!(changed = before.difference(&resolved.settings).join(", "), "the settings changed");
        in_force.replace(resolved.settings.clone());
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

fn environment() -> Sources {
    Sources::new().with_environment(std::env::vars_os())
}

/// The object of this name, if there is one.
async fn answer<K>(client: &Client, namespace: &str, name: &str, within: Duration) -> Result<Option<K>, Unread>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let (is_forbidden, why) = match tokio::time::timeout(within, api.get_opt(name)).await {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => (matches!(&error, kube::Error::Api(status) if status.code == 403), with_causes(&error)),
        Err(_) => (false, format!("no answer from the API server within {within:?}")),
    };
    Err(Unread { is_forbidden, why: format!("can't read {} {namespace}/{name}: {why}", K::kind(&())) })
}

impl From<Unread> for String {
    fn from(unread: Unread) -> Self {
        unread.why
    }
}
