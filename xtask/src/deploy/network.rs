//! Whom the watcher's pods may talk to, but for PAC's own pod, which talks to Git providers.

use std::collections::BTreeSet;

use anyhow::Result;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::gate::WEBHOOK_PORT;
use super::manifest::{Document, Manifest, Purpose};
use super::names::{namespaced, selector};
use super::options::{Gate, Mode};
use super::pod::Ports;
use super::settings::Store;
use super::variant::Variant;

/// 5353 is where OpenShift's DNS pods listen.
const DNS: [u16; 2] = [53, 5353];
/// The API server's Service, and the server behind it, which is what many networks look at.
const API_SERVER: [u16; 2] = [443, 6443];

const OF_SHADOW: &str = "\
Out to DNS and the API server alone, in to the metrics; the kubelet's probes come from the node, and no policy keeps those out. It \
goes by ports: where the API server is differs from cluster to cluster. Add `to` to the rules to narrow them.
";

const STORY: &str = "\
Out to DNS, the API server, the chosen store and whoever gets traces alone, in to the metrics, and to the webhook where there is one; the kubelet's probes come from the node, and \
no policy keeps those out. It goes by ports: where the API server and the store are differs from cluster to cluster. Add \
`to` to the rules to narrow them.

The ports of the store and of concurrency-traces-endpoint are those of the settings this was made with. While the watcher moves from one store to another it needs both: \
--apply with a new driver opens the new one's and leaves the old one's, which the next --apply closes.
";

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let stores = [&variant.settings.store, &variant.settings.former];
    let stores: BTreeSet<u16> = stores.into_iter().flat_map(Store::ports).copied().collect();
    let stores: Vec<u16> = stores.into_iter().collect();
    let dns = DNS.iter().flat_map(|number| [port("UDP", *number), port("TCP", *number)]).collect();
    let mut egress = vec![out_to(dns), out_to(tcp(&API_SERVER))];
    egress.extend((!stores.is_empty()).then(|| out_to(tcp(&stores))));
    egress.extend(variant.settings.traces.map(|port| out_to(tcp(&[port]))));
    let webhook = (variant.gate() == Some(Gate::Webhook)).then_some(WEBHOOK_PORT);
    let served: Vec<u16> = [Ports::of(variant).metrics].into_iter().chain(webhook).collect();
    let served = NetworkPolicyIngressRule { ports: Some(tcp(&served)), from: None };
    let policy = NetworkPolicy {
        metadata: namespaced(variant.app(), &variant.namespace),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(selector(variant.pod_labels())),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![served]),
            egress: Some(egress),
        }),
    };
    let documents = vec![Document::of(&policy)?];
    let story = if variant.mode == Mode::Shadow { OF_SHADOW } else { STORY };
    Ok(Manifest { file: "network-policy.yaml", purpose: Purpose::Own, story: story.to_owned(), documents })
}

fn out_to(ports: Vec<NetworkPolicyPort>) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule { ports: Some(ports), to: None }
}

fn tcp(numbers: &[u16]) -> Vec<NetworkPolicyPort> {
    numbers.iter().map(|number| port("TCP", *number)).collect()
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number.into())),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
