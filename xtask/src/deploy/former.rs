//! What the cluster has of ours and the variant hasn't: it stays at work until all that is new is there, and goes then.

use serde_json::json;

use super::folders::EXTERNAL;
use super::live::Live;
use super::names::{COMPANION_LABEL, GATE, PAC_WATCHER, SECRET, SHADOW, TLS_SECRET, WATCHER, WEBHOOK};
use super::options::{Gate, Placement};

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
    pub(super) fn of(live: &Live, gate: Option<Gate>, in_pacs_pod: bool) -> Self {
        let gates = live.gates.iter().copied().filter(|there| Some(*there) != gate).collect();
        let (in_pacs, of_our_own) = (live.is_in_pacs_pod(), live.our_watcher.is_some());
        let placement = match in_pacs_pod {
            true => of_our_own.then_some(Placement::Deployment),
            false => in_pacs.then_some(Placement::Pod),
        };
        let volumes = [SECRET, TLS_SECRET, EXTERNAL].into_iter().filter(|name| live.pacs_pod_mounts(name)).collect();
        let shadow = live.shadow.is_some().then(|| {
            let scraped = live.shadow_is_scraped.then_some("servicemonitor");
            // By the Deployment it is seen that there is something to remove, so that it goes last.
            scraped.into_iter().chain(["service", "networkpolicy", "serviceaccount", "deployment"]).collect()
        });
        Self { gates, placement, shadow: shadow.unwrap_or_default(), volumes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.gates.is_empty() && self.placement.is_none() && !self.has_shadow()
    }

    /// Whether shadow mode ends, and its report with it.
    pub(super) fn has_shadow(&self) -> bool {
        !self.shadow.is_empty()
    }

    /// How it goes, step by step.
    pub(super) fn removals(&self, namespace: &str) -> Vec<Removal> {
        let watcher = self.placement.map_or(Vec::new(), |placement| match placement {
            Placement::Pod => vec![self.take_out(namespace)],
            Placement::Deployment => our_pods(namespace),
        });
        let gates = self.gates.iter().flat_map(|gate| removals_of(*gate, namespace));
        let shadow = self.has_shadow().then(|| self.end_shadow(namespace));
        watcher.into_iter().chain(gates).chain(shadow.into_iter().flatten()).collect()
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

fn our_pods(namespace: &str) -> Vec<Removal> {
    let kinds = "deployment,serviceaccount,networkpolicy,poddisruptionbudget";
    vec![
        delete(&format!("our Deployment {WATCHER}"), &[kinds, WATCHER, "--namespace", namespace]),
        delete("its priority", &["priorityclass", WATCHER]),
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
