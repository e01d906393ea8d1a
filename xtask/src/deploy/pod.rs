//! The watcher's container and its volumes: the same in a pod of our own and in PAC's, but for the ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, Capabilities, Container, ContainerPort, EnvVar, HTTPGetAction, KeyToPath, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use pac_config::Key;

use super::folders::{EXTERNAL, EXTERNAL_FOLDER, SECRET_FOLDER, TLS_FOLDER};
use super::gate::WEBHOOK_PORT;
use super::names::{SECRET, TLS_SECRET};
use super::options::Gate;
use super::tenants_port::{FOLDER, TENANTS, Tenants};
use super::variant::Variant;

/// Read for all: the watcher's user is no owner of these files, and nobody else is in its container. A group by fsGroup
/// instead would have to be one that the cluster allows.
const READABLE: i32 = 0o444;

/// Where the watcher listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub(super) metrics: u16,
    probes: u16,
    admin: u16,
}

// === impl Ports ===

impl Ports {
    pub(super) fn of(variant: &Variant) -> Self {
        if variant.in_pacs_pod() {
            // One pod, one network: PAC's watcher has 8080 and 9090.
            Self { metrics: 9190, probes: 8180, admin: 8181 }
        } else {
            Self { metrics: 9090, probes: 8080, admin: 8081 }
        }
    }
}

/// The container.
pub(super) fn container(variant: &Variant) -> Container {
    let ports = Ports::of(variant);
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Container {
        name: variant.app().to_owned(),
        image: Some(variant.image.clone()),
        args: Some(arguments(variant, ports)),
        env: env(variant),
        // The names of both are checked against PAC's own container's.
        ports: Some(
            [("slots-metrics", ports.metrics), ("slots-probes", ports.probes)]
                .into_iter()
                .chain((variant.gate() == Some(Gate::Webhook)).then_some(("slots-webhook", WEBHOOK_PORT)))
                .map(|(name, number)| port(name, number))
                .collect(),
        ),
        // A start takes seconds; an outage of store or API server is no reason to start anew.
        liveness_probe: Some(probe("/live", 10, 3)),
        readiness_probe: Some(probe("/ready", 5, 2)),
        resources: Some(resources()),
        security_context: Some(security()),
        volume_mounts: mounts(variant),
        ..Container::default()
    }
}

fn env(variant: &Variant) -> Option<Vec<EnvVar>> {
    let of_tenants = variant.tenants.iter().flat_map(Tenants::variables);
    let of_tenants =
        of_tenants.map(|(name, value)| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() });
    some(variant.password().map(|key| password_file(variant, key)).into_iter().chain(of_tenants).collect())
}

/// Its volumes. All of Secrets are optional, so that the watcher itself can say what is missing, and reload what comes later.
pub(super) fn volumes(variant: &Variant) -> Option<Vec<Volume>> {
    let secret = |secret: &str, items: Option<Vec<KeyToPath>>| Volume {
        name: secret.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            default_mode: Some(READABLE),
            optional: Some(true),
            items,
        }),
        ..Volume::default()
    };
    let item = |key: &Key| KeyToPath { key: key.name.to_owned(), path: key.name.to_owned(), mode: None };
    let passwords = from_secret(variant).map(|key| secret(SECRET, Some(vec![item(key)])));
    let external = variant.secret_provider_class.as_deref().map(external);
    let of_store =
        (!variant.in_memory()).then(|| passwords.into_iter().chain([secret(TLS_SECRET, None)]).chain(external));
    let of_tenants = variant.tenants.iter().map(|_| secret(TENANTS, None));
    some(of_store.into_iter().flatten().chain(of_tenants).collect())
}

/// A list, if there is anything in it.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn external(class: &str) -> Volume {
    let attributes = BTreeMap::from([("secretProviderClass".to_owned(), class.to_owned())]);
    let csi = CSIVolumeSource {
        driver: "secrets-store.csi.k8s.io".to_owned(),
        read_only: Some(true),
        volume_attributes: Some(attributes),
        ..CSIVolumeSource::default()
    };
    Volume { name: EXTERNAL.to_owned(), csi: Some(csi), ..Volume::default() }
}

fn mounts(variant: &Variant) -> Option<Vec<VolumeMount>> {
    let mount = |volume: &str, folder: &str| VolumeMount {
        name: volume.to_owned(),
        mount_path: folder.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let passwords = from_secret(variant).map(|_| mount(SECRET, SECRET_FOLDER));
    let external = variant.secret_provider_class.as_ref().map(|_| mount(EXTERNAL, EXTERNAL_FOLDER));
    let of_store =
        (!variant.in_memory()).then(|| passwords.into_iter().chain([mount(TLS_SECRET, TLS_FOLDER)]).chain(external));
    let of_tenants = variant.tenants.iter().map(|_| mount(TENANTS, FOLDER));
    some(of_store.into_iter().flatten().chain(of_tenants).collect())
}

/// The key of the password that is mounted from the Secret.
fn from_secret(variant: &Variant) -> Option<&'static Key> {
    variant.password().filter(|_| variant.password_file.is_none())
}

fn password_file(variant: &Variant, key: &Key) -> EnvVar {
    let file = variant.password_file.clone().unwrap_or_else(|| format!("{SECRET_FOLDER}/{}", key.name));
    EnvVar { name: key.file_variable(), value: Some(file), ..EnvVar::default() }
}

fn arguments(variant: &Variant, ports: Ports) -> Vec<String> {
    let gate = variant.gate().map(|gate| format!("--gate={}", gate.name()));
    let mode = ["run".to_owned(), format!("--mode={}", variant.mode.name())].into_iter();
    let addresses = [
        format!("--namespace={}", variant.namespace),
        format!("--metrics-addr=[::]:{}", ports.metrics),
        format!("--probe-addr=[::]:{}", ports.probes),
        format!("--admin-addr=127.0.0.1:{}", ports.admin),
    ];
    mode.chain(gate).chain(addresses).collect()
}

fn probe(path: &str, every: i32, failures: i32) -> Probe {
    let http = HTTPGetAction {
        path: Some(path.to_owned()),
        port: IntOrString::String("slots-probes".to_owned()),
        ..HTTPGetAction::default()
    };
    Probe {
        http_get: Some(http),
        period_seconds: Some(every),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Enough for a hundred thousand waiting runs. There is no limit on the processor: it would only slow down a burst.
pub(super) fn resources() -> ResourceRequirements {
    let quantity = |name: &str, text: &str| (name.to_owned(), Quantity(text.to_owned()));
    ResourceRequirements {
        requests: Some(BTreeMap::from([quantity("cpu", "50m"), quantity("memory", "64Mi")])),
        limits: Some(BTreeMap::from([quantity("memory", "512Mi")])),
        ..ResourceRequirements::default()
    }
}

/// All that Kubernetes' restricted profile asks for. The user is the image's: OpenShift gives each namespace its own range,
/// and refuses a fixed one.
fn security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..SecurityContext::default()
    }
}
