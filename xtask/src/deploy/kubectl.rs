//! --apply and --diff: kubectl, which knows how to reach the cluster and who we are there.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use pac_config::Key;
use serde::de::DeserializeOwned;

use super::live::Live;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{CONFIG_MAP, PAC_WATCHER, PACS_CONFIG_MAP, WATCHER};
use super::set::{objects, stream};
use super::variant::Variant;

/// Under which name the API server keeps what is ours.
const MANAGER: &str = "pac-watcher";
const ON_SERVER: [&str; 5] = ["--server-side", "--force-conflicts", "--field-manager", MANAGER, "--filename=-"];

/// What the cluster has, as far as it matters.
struct Cluster {
    /// Every apiVersion and kind.
    kinds: BTreeSet<(String, String)>,
}

/// Asks what the cluster has already.
pub(super) fn live(namespace: &str) -> Result<Live> {
    Ok(Live {
        own: get("configmap", CONFIG_MAP, namespace)?.unwrap_or_default(),
        pacs: get("configmap", PACS_CONFIG_MAP, namespace)?.unwrap_or_default(),
        our_watcher: get("deployment", WATCHER, namespace)?,
        pacs_watcher: get("deployment", PAC_WATCHER, namespace)?,
    })
}

/// Applies everything; what PAC's Deployment gets comes last.
pub(super) fn apply(variant: &Variant, live: &Live, manifests: &[Manifest], force: bool) -> Result<()> {
    let stream = stream(Cluster::ask()?.choose(manifests)?.iter());
    if variant.is_companion() && live.pacs_watcher.is_none() {
        bail!(
            "nothing was applied, there is no Deployment {PAC_WATCHER} in {}, whose pod our container belongs into; install \
             Pipelines-as-Code first, or name its namespace by --namespace",
            variant.namespace
        );
    }
    match live.conflict(variant.mode, &variant.namespace) {
        Some(why) if force => eprintln!("warning: {why}"),
        Some(why) => bail!("nothing was applied: {why}; --force applies all the same"),
        None => {}
    }
    tell_settings(variant, live);
    succeed("kubectl apply", kubectl(&[&["apply"], &ON_SERVER[..]].concat(), &stream)?)?;
    for patch in patches(manifests) {
        let deployment = ["patch", "deployment", PAC_WATCHER, "--namespace", &variant.namespace];
        let from = ["--field-manager", MANAGER, "--patch-file=/dev/stdin"];
        succeed("kubectl patch", kubectl(&[&deployment[..], &from].concat(), &patch.text)?)?;
    }
    Ok(())
}

/// Shows what [`apply`] would change.
pub(super) fn diff(variant: &Variant, live: &Live, manifests: &[Manifest]) -> Result<()> {
    let chosen = Cluster::ask()?.choose(manifests)?;
    let stream = stream(chosen.iter().chain(patches(manifests)));
    if let Some(why) = live.conflict(variant.mode, &variant.namespace) {
        eprintln!("warning: --apply would be refused: {why}");
    }
    tell_settings(variant, live);
    let status = kubectl(&[&["diff"], &ON_SERVER[..]].concat(), &stream)?;
    // 1 says that there are differences.
    if status.code() == Some(1) { Ok(()) } else { succeed("kubectl diff", status) }
}

/// What becomes of the settings that count, those in PAC's ConfigMap among them.
fn tell_settings(variant: &Variant, live: &Live) {
    let changes = variant.settings.changes(&live.settings());
    match changes.is_empty() {
        true => eprintln!("no setting changes"),
        false => eprintln!("settings that change:\n  {}", changes.join("\n  ")),
    }
    let in_pacs = |(key, value): &(&'static Key, String)| {
        live.in_pacs(key).filter(|_| !key.secret).map(|theirs| (key.name, value.is_empty(), theirs.to_owned()))
    };
    let in_pacs: Vec<_> = variant.settings.data.iter().filter_map(in_pacs).collect();
    let name = format!("ConfigMap {PACS_CONFIG_MAP}");
    for (key, _, value) in in_pacs.iter().filter(|(_, is_empty, _)| *is_empty) {
        eprintln!("warning: {key} stays {value:?}: an empty value is none, and {name} has it; take it out there");
    }
    let overridden = in_pacs.iter().filter(|(_, is_empty, _)| !is_empty).count();
    if overridden > 0 {
        eprintln!(
            "{name} has {overridden} settings, too, which don't count any more: ConfigMap {CONFIG_MAP} has them and wins"
        );
    }
}

/// An object of the cluster, if it is there.
fn get<T: DeserializeOwned>(kind: &str, name: &str, namespace: &str) -> Result<Option<T>> {
    let mut get = Command::new("kubectl");
    get.args(["get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output=json"]);
    let output = get.stderr(Stdio::inherit()).output().context("can't run kubectl; install it")?;
    if !output.status.success() {
        bail!(
            "nothing was done: kubectl could not say what the cluster has of {kind} {name} in {namespace} ({})",
            output.status
        );
    }
    if output.stdout.trim_ascii().is_empty() {
        return Ok(None);
    }
    let object = serde_json::from_slice(&output.stdout);
    Ok(Some(object.with_context(|| format!("kubectl's answer about {kind} {name} can't be read"))?))
}

fn patches(manifests: &[Manifest]) -> impl Iterator<Item = &Document> {
    let patches = manifests.iter().filter(|manifest| manifest.purpose == Purpose::Patch);
    patches.flat_map(|manifest| &manifest.documents)
}

// === impl Cluster ===

impl Cluster {
    fn ask() -> Result<Self> {
        let output = Command::new("kubectl")
            .args(["api-resources", "--no-headers"])
            .stderr(Stdio::inherit())
            .output()
            .context("can't run kubectl; install it")?;
        // It fails when one of many API services is away, and lists the others all the same.
        let text = String::from_utf8_lossy(&output.stdout);
        if text.trim().is_empty() {
            bail!("kubectl api-resources told nothing ({}); does kubectl reach the cluster?", output.status);
        }
        Ok(Self { kinds: text.lines().filter_map(listed).collect() })
    }

    fn has(&self, document: &Document) -> bool {
        self.kinds.contains(&(document.api_version.clone(), document.kind.clone()))
    }

    /// The objects that can be applied here. What is for monitoring may be unknown; anything else must not.
    fn choose(&self, manifests: &[Manifest]) -> Result<Vec<Document>> {
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

/// A line of `kubectl api-resources`: name, perhaps short names, apiVersion, whether namespaced, kind.
fn listed(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., version, _, kind] = words.as_slice() else { return None };
    Some(((*version).to_owned(), (*kind).to_owned()))
}

fn kubectl(arguments: &[&str], input: &str) -> Result<ExitStatus> {
    eprintln!("$ kubectl {}", arguments.join(" "));
    let mut process = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .context("can't run kubectl; install it")?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin.write_all(input.as_bytes()).context("kubectl ended before it had read everything")?;
    }
    Ok(process.wait()?)
}

fn succeed(what: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}
