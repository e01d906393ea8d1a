//! Which pods a cluster takes: Kubernetes' Pod Security Standards at the level restricted (version 1.36), and OpenShift's security
//! context constraint restricted-v2, under which each namespace has users of its own.

use serde_json::Value;

/// Volumes that both take.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
/// Fields of a pod's spec by which it is in the node's own namespaces.
const OF_HOST: [&str; 4] = ["hostNetwork", "hostPID", "hostIPC", "hostUsers"];

/// What of a pod's spec is refused.
pub(crate) fn violations(pod: &Value) -> Vec<String> {
    let mut found: Vec<String> =
        OF_HOST.iter().filter(|field| !pod[**field].is_null()).map(|f| (*f).to_owned()).collect();
    let whole = &pod["securityContext"];
    found.extend(["sysctls", "fsGroup"].iter().filter(|field| !whole[**field].is_null()).map(|f| (*f).to_owned()));
    for volume in items(&pod["volumes"]) {
        let kinds = volume.as_object().unwrap().keys().filter(|key| *key != "name");
        found.extend(kinds.filter(|kind| !VOLUMES.contains(&kind.as_str())).map(|kind| format!("volume {kind}")));
    }
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        found.extend(items(&pod[kind]).iter().flat_map(|container| of_container(container, whole)));
    }
    found
}

fn of_container(container: &Value, whole: &Value) -> Vec<String> {
    let own = &container["securityContext"];
    let either = |field: &str| if own[field].is_null() { &whole[field] } else { &own[field] };
    let capabilities = &own["capabilities"];
    let seccomp = &either("seccompProfile")["type"];
    let wrong = [
        ("privileged", own["privileged"] == true),
        ("allowPrivilegeEscalation", own["allowPrivilegeEscalation"] != false),
        ("runAsNonRoot", *either("runAsNonRoot") != true),
        // A fixed user is in no namespace's range but by chance, and root nowhere.
        ("runAsUser", !either("runAsUser").is_null()),
        ("seccompProfile", seccomp != "RuntimeDefault"),
        (
            "capabilities",
            !items(&capabilities["drop"]).contains(&Value::from("ALL")) || !items(&capabilities["add"]).is_empty(),
        ),
        ("procMount", !own["procMount"].is_null()),
        ("seLinuxOptions", !either("seLinuxOptions").is_null()),
        ("appArmorProfile", either("appArmorProfile")["type"] == "Unconfined"),
        ("windowsOptions", !either("windowsOptions").is_null()),
        ("hostPort", items(&container["ports"]).iter().any(|port| !port["hostPort"].is_null())),
        ("host", ["livenessProbe", "readinessProbe", "startupProbe"].iter().any(|probe| has_host(&container[*probe]))),
        ("lifecycle", !container["lifecycle"].is_null()),
    ];
    wrong.into_iter().filter(|(_, is_wrong)| *is_wrong).map(|(what, _)| what.to_owned()).collect()
}

/// A probe of another host than the pod itself.
fn has_host(probe: &Value) -> bool {
    ["httpGet", "tcpSocket"].iter().any(|kind| !probe[*kind]["host"].is_null())
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
