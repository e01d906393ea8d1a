//! The gate `webhook`: our watchers rename PAC's annotation, where the API server has no policy that can.

use anyhow::Result;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference, WebhookClientConfig,
};
use k8s_openapi::api::core::v1::{Secret, Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{conditions, equivalent, fail, namespaces, owned, writes};
use crate::deploy::manifest::{Document, Manifest, Purpose};
use crate::deploy::names::{GATE, WEBHOOK, cluster_wide, namespaced};
use crate::deploy::variant::Variant;

const STORY: &str = "\
Keeps PAC's own in-memory queue out of the way. PAC's watcher starts a queued PipelineRun by itself once it finds the \
annotation pipelinesascode.tekton.dev/execution-order on it. While the webhook's namespaceSelector is empty, the API server \
asks our watchers about the one write that brings that annotation, and they rename it; while it selects no namespace, nobody \
is asked. Our watcher sets the selector as concurrency-enabled says.

The Secret is empty: the watcher that leads makes the certificate in it and renews it, and puts the authority that signed it \
into the configuration. One of type kubernetes.io/tls with tls.crt, tls.key and ca.crt, by cert-manager, say, is used as it is.

While no watcher answers, that one write fails, which PAC reports as an Event of the Repository and gets over; no other write \
is asked about. This needs Kubernetes 1.28.
";

/// Longer than any answer takes, and what PAC waits at most where none comes.
const SECONDS: i32 = 5;

/// The file.
pub(super) fn manifest(variant: &Variant) -> Result<Manifest> {
    let certificate = Secret { metadata: namespaced(WEBHOOK, &variant.namespace), ..Secret::default() };
    let documents =
        vec![Document::of(&certificate)?, Document::of(&service(variant))?, Document::of(&configuration(variant))?];
    Ok(Manifest { file: "execution-order-webhook.yaml", purpose: Purpose::Own, story: STORY.to_owned(), documents })
}

fn service(variant: &Variant) -> Service {
    let port = ServicePort {
        name: Some("webhook".to_owned()),
        port: 443,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String("slots-webhook".to_owned())),
        ..ServicePort::default()
    };
    Service {
        metadata: namespaced(WEBHOOK, &variant.namespace),
        spec: Some(ServiceSpec {
            selector: Some(variant.pod_labels()),
            ports: Some(vec![port]),
            // To those that are ready: a watcher that serves the webhook says so from when it can answer until it is told to stop,
            // whatever else is wrong. One that isn't there yet, or is about to go, would lose PAC's orders.
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn configuration(variant: &Variant) -> MutatingWebhookConfiguration {
    let rule = writes();
    let rule = RuleWithOperations {
        api_groups: rule.api_groups,
        api_versions: rule.api_versions,
        operations: rule.operations,
        resources: rule.resources,
        scope: rule.scope,
    };
    let service = ServiceReference {
        name: WEBHOOK.to_owned(),
        namespace: variant.namespace.clone(),
        path: Some("/execution-order".to_owned()),
        port: Some(443),
    };
    let webhook = MutatingWebhook {
        name: "execution-order.concurrency.pipelinesascode.tekton.dev".to_owned(),
        admission_review_versions: owned(&["v1"]).unwrap_or_default(),
        // The bundle is the watcher's to write, and no apply of this takes it away.
        client_config: WebhookClientConfig { service: Some(service), ca_bundle: None, url: None },
        failure_policy: fail(),
        match_conditions: Some(conditions()),
        match_policy: equivalent(),
        namespace_selector: Some(namespaces(variant)),
        // Another mutation after this one may bring the annotation.
        reinvocation_policy: Some("IfNeeded".to_owned()),
        rules: Some(vec![rule]),
        side_effects: "None".to_owned(),
        timeout_seconds: Some(SECONDS),
        object_selector: None,
    };
    MutatingWebhookConfiguration { metadata: cluster_wide(GATE), webhooks: Some(vec![webhook]) }
}
