//! Arrows between crates: who may know whom.

use super::sources::Sources;

/// Crates of ours, and what each may depend on of ours (for its tests, more).
const ARROWS: &[(&str, &[&str])] = &[
    ("pac-config", &[]),
    ("pac-metrics", &[]),
    ("pac-tls", &[]),
    ("pac-concurrency", &["pac-metrics"]),
    ("pac-driver-mem", &["pac-concurrency"]),
    ("pac-driver-pg", &["pac-concurrency", "pac-config", "pac-tls"]),
    ("pac-driver-etcd", &["pac-concurrency", "pac-config", "pac-tls"]),
    ("pac-kube", &["pac-concurrency"]),
    ("pac-queue", &[]),
    ("pac-advice", &["pac-concurrency", "pac-queue"]),
    // Of pac-config it takes how durations are written.
    ("pac-client", &["pac-advice", "pac-concurrency", "pac-config", "pac-kube", "pac-queue"]),
    ("pac-state", &["pac-concurrency", "pac-kube", "pac-metrics"]),
    ("pac-model", &["pac-concurrency", "pac-kube", "pac-state"]),
    ("pac-shadow", &["pac-concurrency", "pac-metrics", "pac-queue"]),
    ("pac-threads", &["pac-concurrency", "pac-driver-mem"]),
    ("pac-webhook", &["pac-kube", "pac-metrics", "pac-tls"]),
    ("pac-view", &["pac-concurrency", "pac-kube", "pac-metrics", "pac-queue", "pac-state"]),
    ("pac-traces", &["pac-concurrency", "pac-kube", "pac-metrics", "pac-state", "pac-tls"]),
    ("pac-tenants", &["pac-concurrency", "pac-kube", "pac-metrics", "pac-queue", "pac-state", "pac-tls", "pac-view"]),
    (
        "pac-watcher",
        &[
            "pac-concurrency",
            "pac-config",
            "pac-kube",
            "pac-metrics",
            "pac-queue",
            "pac-shadow",
            "pac-state",
            "pac-tenants",
            "pac-traces",
            "pac-view",
            "pac-webhook",
        ],
    ),
    ("pac-devcluster", &[]),
    ("pac-devservers", &[]),
    (
        "pac-bench",
        &[
            "pac-concurrency",
            "pac-config",
            "pac-devcluster",
            "pac-devservers",
            "pac-driver-etcd",
            "pac-driver-mem",
            "pac-driver-pg",
            "pac-kube",
            "pac-watcher",
            "pac-webhook",
        ],
    ),
    (
        "pac",
        &[
            "pac-client",
            "pac-concurrency",
            "pac-config",
            "pac-driver-etcd",
            "pac-driver-mem",
            "pac-driver-pg",
            "pac-kube",
            "pac-watcher",
        ],
    ),
    ("pac-virtual", &[]),
    (
        "pac-sim",
        &[
            "pac-concurrency",
            "pac-config",
            "pac-devcluster",
            "pac-driver-mem",
            "pac-kube",
            "pac-queue",
            "pac-virtual",
            "pac-watcher",
        ],
    ),
    ("pac-judge", &["pac-concurrency", "pac-config", "pac-devservers", "pac-driver-etcd", "pac-driver-pg"]),
    ("xtask", &["pac-config", "pac-devservers", "pac-metrics"]),
];

/// Crates whose lints are their own, and why.
const LINTS_OF_THEIR_OWN: &[(&str, &str)] =
    &[("pac-virtual", "has two functions of the C library, for simulations alone; the workspace forbids unsafe code")];

/// What others' crates a crate must not know.
const FORBIDDEN: &[(&str, &[&str])] = &[
    ("pac-config", &["kube", "k8s-openapi", "tokio-postgres", "etcd-client", "axum", "tokio"]),
    ("pac-concurrency", &["kube", "k8s-openapi", "tokio-postgres", "etcd-client", "axum", "hyper", "reqwest"]),
    ("pac-driver-mem", &["kube", "k8s-openapi", "tokio-postgres", "etcd-client", "axum"]),
    ("pac-driver-pg", &["kube", "k8s-openapi", "etcd-client", "axum"]),
    ("pac-driver-etcd", &["kube", "k8s-openapi", "tokio-postgres", "axum"]),
    ("pac-kube", &["pac-config", "pac-metrics", "tokio-postgres", "etcd-client", "axum", "moka"]),
    ("pac-queue", &["kube", "tokio", "tokio-postgres", "etcd-client", "axum"]),
    ("pac-advice", &["kube", "pac-config", "tokio", "tokio-postgres", "etcd-client", "axum"]),
    ("pac-client", &["pac-watcher", "tokio-postgres", "etcd-client", "axum", "json-patch"]),
    ("pac-shadow", &["kube", "pac-config", "tokio", "tokio-postgres", "etcd-client", "axum"]),
    ("pac-state", &["kube", "pac-config", "tokio-postgres", "etcd-client", "axum"]),
    ("pac-tenants", &["pac-config", "tokio-postgres", "etcd-client", "axum", "json-patch"]),
    ("pac-traces", &["kube", "pac-config", "pac-view", "tokio-postgres", "etcd-client", "axum", "json-patch"]),
    ("pac-view", &["pac-config", "tokio-postgres", "etcd-client", "json-patch"]),
    ("pac-watcher", &["tokio-postgres", "etcd-client", "axum", "json-patch", "moka"]),
    ("xtask", &["kube", "tokio-postgres", "etcd-client", "axum", "tokio"]),
];

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (folder, manifest) in sources.manifests() {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        let has_own = LINTS_OF_THEIR_OWN.iter().any(|(of, _)| *of == name);
        if !has_own && !manifest.contains("[lints]\nworkspace = true") {
            problems.push(format!("{folder}/Cargo.toml: [lints] workspace = true is missing"));
        }
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            problems.push(format!("{folder}: say in xtask's tidy whom this crate may know"));
            continue;
        };
        let forbidden = FORBIDDEN.iter().find(|(of, _)| *of == name).map_or(&[][..], |(_, forbidden)| forbidden);
        for dependency in dependencies(manifest) {
            let ours = ARROWS.iter().any(|(of, _)| *of == dependency);
            if (ours && !allowed.contains(&dependency)) || forbidden.contains(&dependency) {
                problems.push(format!("{folder}/Cargo.toml: {name} must not know {dependency}"));
            }
        }
    }
    problems
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.lines().skip_while(|line| line.trim() != "[dependencies]").skip(1);
    let entries = section.take_while(|line| !line.starts_with('['));
    entries
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(name: &str, dependencies: &str) -> Vec<String> {
        let manifest =
            format!("[lints]\nworkspace = true\n\n[dependencies]\n{dependencies}\n[dev-dependencies]\nkube = \"1\"\n");
        problems(&Sources::of(&[(&format!("crates/{name}/Cargo.toml"), &manifest)]))
    }

    #[test]
    fn an_arrow_the_wrong_way_is_found() {
        assert_eq!(problems_of("pac-driver-mem", "pac-concurrency.workspace = true\n"), Vec::<String>::new());
        assert_eq!(problems_of("pac-concurrency", "pac-config.workspace = true\n").len(), 1);
        assert_eq!(problems_of("pac-driver-mem", "pac-driver-pg = { workspace = true }\n").len(), 1);
    }

    #[test]
    fn a_crate_that_knows_too_much_is_found() {
        assert_eq!(problems_of("pac-concurrency", "kube.workspace = true\n").len(), 1);
        assert_eq!(problems_of("pac-watcher", "tokio-postgres = \"1\"\n").len(), 1);
    }

    #[test]
    fn a_new_crate_must_say_whom_it_knows() {
        assert_eq!(problems_of("pac-new", "").len(), 1);
    }

    #[test]
    fn lints_that_are_not_the_workspaces_are_found() {
        let sources = Sources::of(&[("xtask/Cargo.toml", "[dependencies]\n")]);
        assert_eq!(problems(&sources).len(), 1);
    }
}
