//! The Service that metrics are scraped through, and for the Prometheus operator who scrapes it and what to alert on.

use anyhow::Result;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Serialize};

use super::alerts::{Alert, alerts};
use super::manifest::{Document, Manifest, Purpose};
use super::names::{WATCHER, name_label, namespaced, selector};
use super::options::Mode;
use super::pod::Ports;
use super::variant::Variant;

/// The operator's objects.
pub(super) const MONITORING: &str = "monitoring.coreos.com/v1";

/// An object of the Prometheus operator, which k8s-openapi doesn't know.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Monitor<S> {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    spec: S,
}

/// What of a ServiceMonitor's spec is used here.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceMonitorSpec {
    selector: LabelSelector,
    endpoints: Vec<Endpoint>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Endpoint {
    port: String,
    interval: String,
    honor_labels: bool,
}

/// What of a PrometheusRule's spec is used here.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSpec {
    groups: Vec<RuleGroup>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleGroup {
    name: String,
    rules: Vec<Alert>,
}

/// The Service.
pub(super) fn service(variant: &Variant) -> Result<Manifest> {
    let port = ServicePort {
        name: Some("metrics".to_owned()),
        port: Ports::of(variant).metrics.into(),
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String("slots-metrics".to_owned())),
        ..ServicePort::default()
    };
    let service = Service {
        metadata: namespaced(variant.app(), &variant.namespace),
        spec: Some(ServiceSpec {
            selector: Some(variant.pod_labels()),
            ports: Some(vec![port]),
            // A watcher that isn't ready is one whose metrics matter.
            publish_not_ready_addresses: Some(true),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    };
    let story = "Where Prometheus finds the watcher's metrics.".to_owned();
    let documents = vec![Document::of(&service)?];
    Ok(Manifest { file: "service.yaml", purpose: Purpose::Own, story, documents })
}

/// For the Prometheus operator. Alerts are on our own queue, which shadow mode hasn't.
pub(super) fn monitoring(variant: &Variant) -> Result<Manifest> {
    let endpoint = Endpoint {
        port: "metrics".to_owned(),
        interval: "30s".to_owned(),
        // The label namespace of a metric is a Repository's, and stays what it is.
        honor_labels: true,
    };
    let spec = ServiceMonitorSpec { selector: selector(name_label(variant.app())), endpoints: vec![endpoint] };
    let mut documents = vec![Document::of(&monitor("ServiceMonitor", variant, spec))?];
    if variant.mode == Mode::Shadow {
        let story =
            "For clusters with the Prometheus operator: who is scraped. There is nothing to alert on.".to_owned();
        return Ok(Manifest { file: "monitoring.yaml", purpose: Purpose::Monitoring, story, documents });
    }
    let rules = vec![RuleGroup { name: WATCHER.to_owned(), rules: alerts(variant.wait_target, &variant.runbook_url) }];
    let alerting = monitor("PrometheusRule", variant, RuleSpec { groups: rules });
    let story = "For clusters with the Prometheus operator: who is scraped, and what to alert on.".to_owned();
    documents.push(Document::of(&alerting)?);
    Ok(Manifest { file: "monitoring.yaml", purpose: Purpose::Monitoring, story, documents })
}

fn monitor<S>(kind: &str, variant: &Variant, spec: S) -> Monitor<S> {
    Monitor {
        api_version: MONITORING.to_owned(),
        kind: kind.to_owned(),
        metadata: namespaced(variant.app(), &variant.namespace),
        spec,
    }
}
