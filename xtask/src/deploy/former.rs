//! What the cluster has of ours and the variant hasn't: it stays at work until all that is new is there, and goes then.

use serde_json::json;

use super::folders::EXTERNAL;
use super::live::Live;
use super::names::{COMPANION_LABEL, GATE, PAC_WATCHER, SECRET, SHADOW, TLS_SECRET, WATCHER, WEBHOOK};
use super::options::{Gate, Placement};
use super::tenants_port::{self, TENANTS};

/// See the [module](self).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Former {
    pub(super) gates: Vec<Gate>,
    /// Where the watcher is to go from.
    pub(super) placement: Option<Placement>,
    /// The kinds of what shadow mode has in the namespace, if it is there.
    shadow: Vec<&'static str>,
    /// The volumes of ours in PAC's pod.
    volumes: Vec<&'static str>,
    /// Where the watcher is that served tenants, if nobody is to any more.
    tenants: Option<Placement>,
    /// Whether tenants come by a network policy of ours, which goes with our pods.
    lets_tenants_in: bool,
}

/// One thing to be done by kubectl.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// What goes, in words.
    pub(super) what: String,
    pub(super) arguments: Vec<String>,
    /// What it reads.
    pub(super) input: String,
}

// === impl Former ===

impl Former {
    /// What `live` has beside the gate that was chosen and the pod that the watcher is to be in.
    pub(super) fn of(live: &Live, gate: Option<Gate>, in_pacs_pod: bool, tenants: Option<bool>) -> Self {
        let gates = live.gates.iter().copied().filter(|there| Some(*there) != gate).collect();
        let (in_pacs, of_our_own) = (live.is_in_pacs_pod(), live.our_watcher.is_some());
        let placement = match in_pacs_pod {
            true => of_our_own.then_some(Placement::Deployment),
            false => in_pacs.then_some(Placement::Pod),
        };
        let volumes =
            [SECRET, TLS_SECRET, EXTERNAL, TENANTS].into_iter().filter(|name| live.pacs_pod_mounts(name)).collect();
        let shadow = live.shadow.is_some().then(|| {
            let scraped = live.shadow_is_scraped.then_some("servicemonitor");
            // By the Deployment it is seen that there is something to remove, so that it goes last.
            scraped.into_iter().chain(["service", "networkpolicy", "serviceaccount", "deployment"]).collect()
        });
        let serves_tenants = live.tenants().is_some() || live.leads_tenants;
        let here = if in_pacs_pod { Placement::Pod } else { Placement::Deployment };
        Self {
            gates,
            placement,
            shadow: shadow.unwrap_or_default(),
            volumes,
            tenants: (tenants == Some(false) && serves_tenants).then_some(here),
            lets_tenants_in: serves_tenants,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.waits_for_pods() && self.tenants.is_none()
    }

    /// Whether something goes only once the pods that take its place are ready.
    pub(super) fn waits_for_pods(&self) -> bool {
        !self.gates.is_empty() || self.placement.is_some() || self.has_shadow()
    }

    /// Whether shadow mode ends, and its report with it.
    pub(super) fn has_shadow(&self) -> bool {
        !self.shadow.is_empty()
    }

    /// How it goes, step by step.
    pub(super) fn removals(&self, namespace: &str) -> Vec<Removal> {
        let watcher = self.placement.map_or(Vec::new(), |placement| match placement {
            Placement::Pod => vec![self.take_out(namespace)],
            Placement::Deployment => our_pods(namespace, self.lets_tenants_in),
        });
        let gates = self.gates.iter().flat_map(|gate| removals_of(*gate, namespace));
        let shadow = self.has_shadow().then(|| self.end_shadow(namespace));
        let tenants = self.tenants.map(|placement| end_tenants(placement, namespace));
        let others = gates.chain(shadow.into_iter().flatten()).chain(tenants.into_iter().flatten());
        watcher.into_iter().chain(others).collect()
    }

    fn end_shadow(&self, namespace: &str) -> [Removal; 2] {
        [
            delete("the rights of shadow mode", &["clusterrolebinding,clusterrole", SHADOW]),
            delete("shadow mode", &[&self.shadow.join(","), SHADOW, "--namespace", namespace]),
        ]
    }

    /// Takes our container out of PAC's pod, with what came with it.
    fn take_out(&self, namespace: &str) -> Removal {
        let volumes: Vec<_> = self.volumes.iter().map(|name| json!({"name": name, "$patch": "delete"})).collect();
        let metadata = json!({
            "annotations": {"kubectl.kubernetes.io/default-container": null},
            "labels": {COMPANION_LABEL: null},
        });
        let spec = json!({"containers": [{"name": WATCHER, "$patch": "delete"}], "volumes": volumes});
        let patch = json!({"spec": {"template": {"metadata": metadata, "spec": spec}}});
        let arguments = ["patch", "deployment", PAC_WATCHER, "--namespace", namespace, "--patch-file=/dev/stdin"];
        removal("our container in the pod of PAC's watcher", &arguments, patch.to_string())
    }
}

fn our_pods(namespace: &str, lets_tenants_in: bool) -> Vec<Removal> {
    let kinds = "deployment,serviceaccount,networkpolicy,poddisruptionbudget";
    let of_tenants = lets_tenants_in
        .then(|| delete("what lets tenants in there", &["networkpolicy", TENANTS, "--namespace", namespace]));
    let ours = delete(&format!("our Deployment {WATCHER}"), &[kinds, WATCHER, "--namespace", namespace]);
    [ours, delete("its priority", &["priorityclass", WATCHER])].into_iter().chain(of_tenants).collect()
}

/// What the Deployment has for it may be of another manager's (a patch by hand), whose fields an apply leaves alone. The roles for
/// people stay: they may be bound to somebody.
fn end_tenants(placement: Placement, namespace: &str) -> [Removal; 3] {
    let deployment = if placement == Placement::Pod { PAC_WATCHER } else { WATCHER };
    let arguments = ["patch", "deployment", deployment, "--namespace", namespace, "--patch-file=/dev/stdin"];
    [
        removal("the port for tenants", &arguments, tenants_port::unpatch().to_string()),
        delete("the way to it", &["service,networkpolicy", TENANTS, "--namespace", namespace]),
        delete("what the watcher might ask the API server for it", &["clusterrolebinding,clusterrole", TENANTS]),
    ]
}

fn removals_of(gate: Gate, namespace: &str) -> Vec<Removal> {
    let what = format!("the gate {}", gate.name());
    let objects = [Some(gate.switch().resource), gate.policy()];
    let kinds = objects.into_iter().flatten().collect::<Vec<_>>().join(",");
    let configuration = delete(&what, &[&kinds, GATE]);
    let served = || delete("what served it", &["service,secret", WEBHOOK, "--namespace", namespace]);
    [configuration].into_iter().chain((gate == Gate::Webhook).then(served)).collect()
}

fn delete(what: &str, objects: &[&str]) -> Removal {
    removal(what, &[&["delete"], objects, &["--ignore-not-found"]].concat(), String::new())
}

fn removal(what: &str, arguments: &[&str], input: String) -> Removal {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    Removal { what: what.to_owned(), arguments, input }
}
