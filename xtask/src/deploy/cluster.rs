//! The cluster as kubectl finds it: which kinds of objects it serves, and what of ours it has already.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kubectl::{ask, get};
use super::live::{Live, Server};
use super::manifest::{Document, Manifest, Purpose};
use super::monitoring::MONITORING;
use super::names::{CONFIG_MAP, GATE, PAC_WATCHER, PACS_CONFIG_MAP, SHADOW, WATCHER};
use super::options::Gate;
use super::set::objects;
use super::tenants_port::TENANTS;

const ADMISSION: [&str; 2] = ["admissionregistration.k8s.io/v1", "admissionregistration.k8s.io/v1beta1"];

/// See the [module](self).
pub(super) struct Cluster {
    /// Every apiVersion and kind.
    kinds: BTreeSet<(String, String)>,
    /// Major and minor.
    version: (u32, u32),
}

/// Objects that were found.
struct There(Vec<Value>);

// === impl Cluster ===

impl Cluster {
    pub(super) fn ask() -> Result<Self> {
        // It fails when one of many API services is away, and lists the others all the same.
        let (kinds, status) = ask(&["api-resources", "--no-headers"])?;
        let kinds = String::from_utf8_lossy(&kinds);
        if kinds.trim().is_empty() {
            bail!(
                "nothing was done: kubectl got no answer from the cluster, as it says above ({status}); `kubectl config \
                 current-context` and KUBECONFIG say which one it asks"
            );
        }
        let (version, _) = ask(&["get", "--raw=/version"])?;
        let version = serde_json::from_slice(&version).ok().and_then(|told| server_version(&told));
        let version = version.context("nothing was done: the API server did not tell its version")?;
        Ok(Self { kinds: kinds.lines().filter_map(listed).collect(), version })
    }

    /// What it has of all this.
    pub(super) fn live(&self, namespace: &str) -> Result<Live> {
        let gates = Gate::ALL.into_iter().filter(|gate| self.admits_by(gate.switch().kind));
        let gates: Vec<Gate> = gates.collect();
        let is_scraped = self.kinds.contains(&(MONITORING.to_owned(), "ServiceMonitor".to_owned()));
        let maps = [CONFIG_MAP, PACS_CONFIG_MAP].map(|name| format!("configmap/{name}")).into_iter();
        let deployments = [WATCHER, PAC_WATCHER, SHADOW].map(|name| format!("deployment/{name}"));
        let of_gates = gates.iter().map(|gate| format!("{}/{GATE}", gate.switch().resource));
        let monitor = is_scraped.then(|| format!("servicemonitor/{SHADOW}"));
        let of_tenants = [format!("service/{TENANTS}")];
        let asked: Vec<String> = maps.chain(deployments).chain(of_gates).chain(monitor).chain(of_tenants).collect();
        let there = There(get(&asked, namespace)?);
        Ok(Live {
            own: there.object("ConfigMap", CONFIG_MAP)?.unwrap_or_default(),
            pacs: there.object("ConfigMap", PACS_CONFIG_MAP)?.unwrap_or_default(),
            our_watcher: there.object("Deployment", WATCHER)?,
            pacs_watcher: there.object("Deployment", PAC_WATCHER)?,
            shadow: there.object("Deployment", SHADOW)?,
            shadow_is_scraped: there.find("ServiceMonitor", SHADOW).is_some(),
            gates: gates.into_iter().filter(|gate| there.find(gate.switch().kind, GATE).is_some()).collect(),
            leads_tenants: there.find("Service", TENANTS).is_some(),
            server: Some(Server { version: self.version, mutates: self.admits_by(Gate::Policy.switch().kind) }),
        })
    }

    /// Whether it serves this kind of admission; an alpha version doesn't count.
    fn admits_by(&self, kind: &str) -> bool {
        ADMISSION.iter().any(|version| self.kinds.contains(&((*version).to_owned(), kind.to_owned())))
    }

    fn has(&self, document: &Document) -> bool {
        self.kinds.contains(&(document.api_version.clone(), document.kind.clone()))
    }

    /// The objects that can be applied here. What is for monitoring may be unknown; anything else must not.
    pub(super) fn choose(&self, manifests: &[Manifest]) -> Result<Vec<Document>> {
        let mut chosen = Vec::new();
        let mut missing = BTreeSet::new();
        for (purpose, document) in objects(manifests) {
            if self.has(document) {
                chosen.push(document.clone());
            } else if let Some(earlier) = document.earlier().filter(|earlier| self.has(earlier)) {
                chosen.push(earlier);
            } else if purpose == Purpose::Monitoring {
                eprintln!("left out: {} (the cluster has no Prometheus operator)", document.kind);
            } else {
                missing.insert(format!("{} {}", document.api_version, document.kind));
            }
        }
        if missing.is_empty() {
            return Ok(chosen);
        }
        let missing: Vec<String> = missing.into_iter().collect();
        bail!("nothing was applied, the cluster has no {}; see docs/companion.md", missing.join(", "))
    }
}

// === impl There ===

impl There {
    fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    fn object<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<Option<T>> {
        let object = self.find(kind, name).map(T::deserialize).transpose();
        object.with_context(|| format!("nothing was done: {kind} {name} of the cluster can't be read"))
    }
}

/// A line of `kubectl api-resources`: name, perhaps short names, apiVersion, whether namespaced, kind.
fn listed(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., version, _, kind] = words.as_slice() else { return None };
    Some(((*version).to_owned(), (*kind).to_owned()))
}

/// Some clouds write a minor version such as `28+`.
fn server_version(told: &Value) -> Option<(u32, u32)> {
    let number = |field: &str| {
        let text = told[field].as_str()?;
        text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok()
    };
    Some((number("major")?, number("minor")?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_read_as_clouds_write_it() {
        let of = |minor: &str| server_version(&json!({"major": "1", "minor": minor}));
        assert_eq!((of("36"), of("28+"), of("")), (Some((1, 36)), Some((1, 28)), None));
        assert_eq!(server_version(&json!({"kind": "Status"})), None);
    }
}
