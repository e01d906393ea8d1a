//! --apply and --diff.
//!
//! What is new comes first, and works, before what it replaces goes: another gate, or the watcher in another pod. In between both are there,
//! and of two watchers one leads, by the Lease that both have. An apply that was broken off is called again, and goes on where it was.

use anyhow::{Context, Result, bail};
use pac_config::Key;

use super::cluster::Cluster;
use super::kubectl::{kubectl, rehearse, run, succeed};
use super::live::Live;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{CONFIG_MAP, PAC_WATCHER, PACS_CONFIG_MAP, WATCHER};
use super::options::Mode;
use super::set::{manifests, stream};
use super::tenants_port::TENANTS;
use super::variant::Variant;

/// Under which name the API server keeps what is ours.
const MANAGER: &str = "pac-watcher";
const ON_SERVER: [&str; 5] = ["--server-side", "--force-conflicts", "--field-manager", MANAGER, "--filename=-"];
/// How long new pods may take.
const ROLLOUT: &str = "--timeout=5m";

/// Applies everything; what PAC's Deployment gets comes last, and what goes after it.
pub(super) fn apply(cluster: &Cluster, variant: &Variant, live: &Live, force: bool) -> Result<()> {
    let manifests = manifests(variant)?;
    let chosen = cluster.choose(&manifests)?;
    if variant.mode != Mode::Standalone && live.pacs_watcher.is_none() {
        bail!(
            "nothing was applied, there is no Deployment {PAC_WATCHER} in {}, beside which {} mode works; install \
             Pipelines-as-Code first, or name its namespace by --namespace",
            variant.namespace,
            variant.mode.name()
        );
    }
    match live.conflict(variant.mode, variant.placement, &variant.namespace) {
        Some(why) if force => eprintln!("warning: {why}"),
        Some(why) => bail!("nothing was applied: {why}; --force applies all the same"),
        None => {}
    }
    tell_choices(variant, live);
    let deployment = ["patch", "deployment", PAC_WATCHER, "--namespace", &variant.namespace];
    let patching = [&deployment[..], &["--field-manager", MANAGER, "--patch-file=/dev/stdin"]].concat();
    if !force {
        would_be_taken(&chosen, &patching, &manifests)?;
    }
    run(&[&["apply"], &ON_SERVER[..]].concat(), &stream(chosen.iter()))?;
    for patch in patches(&manifests) {
        run(&patching, &patch.text)?;
    }
    if variant.former.is_empty() { Ok(()) } else { settle(cluster, variant) }
}

/// An apply may fail in its midst, for a right that is missing, say. It is asked first, while there is nothing to take back.
fn would_be_taken(chosen: &[Document], patching: &[&str], manifests: &[Manifest]) -> Result<()> {
    // A binding to a role that isn't there yet is one that the API server refuses to many who may make both.
    let without_bindings = chosen.iter().filter(|document| !document.kind.ends_with("RoleBinding"));
    let mut is_taken = rehearse(&[&["apply"], &ON_SERVER[..]].concat(), &stream(without_bindings))?;
    for patch in patches(manifests) {
        is_taken &= rehearse(patching, &patch.text)?;
    }
    if !is_taken {
        bail!(
            "nothing was applied, the API server would not take all of it, as kubectl says above; --force applies what it takes"
        );
    }
    Ok(())
}

/// Takes away what was there before, once all that is new is at work.
fn settle(cluster: &Cluster, variant: &Variant) -> Result<()> {
    if variant.former.waits_for_pods() {
        wait_for_pods(variant)?;
    }
    for removal in variant.former.removals(&variant.namespace) {
        eprintln!("removing {}", removal.what);
        let arguments: Vec<&str> = removal.arguments.iter().map(String::as_str).collect();
        run(&arguments, &removal.input)?;
    }
    // The rights of what is gone go, too.
    let settled = manifests(&variant.settled())?;
    let access: Vec<Manifest> = settled.into_iter().filter(|manifest| manifest.purpose == Purpose::Access).collect();
    run(&[&["apply"], &ON_SERVER[..]].concat(), &stream(cluster.choose(&access)?.iter()))
}

fn wait_for_pods(variant: &Variant) -> Result<()> {
    let deployment = format!("deployment/{}", if variant.in_pacs_pod() { PAC_WATCHER } else { WATCHER });
    let namespace = ["--namespace", &variant.namespace];
    eprintln!("waiting for {deployment}, before what it replaces goes");
    run(&[&["rollout", "status", &deployment, ROLLOUT], &namespace[..]].concat(), "").with_context(|| {
        format!(
            "{deployment} isn't ready: what was there before stays beside it, and nothing is lost. See why (kubectl describe pod), \
             then call the same command again; it goes on from here"
        )
    })
}

/// Shows what [`apply`] would change.
pub(super) fn diff(cluster: &Cluster, variant: &Variant, live: &Live) -> Result<()> {
    let manifests = manifests(&variant.settled())?;
    let chosen = cluster.choose(&manifests)?;
    let stream = stream(chosen.iter().chain(patches(&manifests)));
    if let Some(why) = live.conflict(variant.mode, variant.placement, &variant.namespace) {
        eprintln!("warning: --apply would be refused: {why}");
    }
    tell_choices(variant, live);
    for removal in variant.former.removals(&variant.namespace) {
        eprintln!("--apply would remove {} afterwards", removal.what);
    }
    let status = kubectl(&[&["diff"], &ON_SERVER[..]].concat(), &stream)?;
    // 1 says that there are differences.
    if status.code() == Some(1) { Ok(()) } else { succeed("kubectl diff", status) }
}

fn patches(manifests: &[Manifest]) -> impl Iterator<Item = &Document> {
    let patches = manifests.iter().filter(|manifest| manifest.purpose == Purpose::Patch);
    patches.flat_map(|manifest| &manifest.documents)
}

/// What was chosen where nobody said it, and what becomes of the settings.
fn tell_choices(variant: &Variant, live: &Live) {
    if let Some(choice) = &variant.gate {
        eprintln!("gate: {}, since {}", choice.gate.name(), choice.why);
    }
    if variant.former.has_shadow() {
        eprintln!(
            "shadow mode ends with this, and what it has measured is gone then: `pac-watcher shadow report` prints it until {} mode \
             is at work",
            variant.mode.name()
        );
    }
    if variant.tenants.is_some() && live.tenants().is_none() {
        eprintln!(
            "the port for tenants shows the certificate in Secret {TENANTS} (tls.crt, tls.key), which is yours to make: until it is \
             there, nobody can connect"
        );
    }
    // Shadow mode has none.
    if variant.mode != Mode::Shadow {
        tell_settings(variant, live);
    }
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
