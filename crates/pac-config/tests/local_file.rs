//! The local YAML file in all its forms.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a helper fails as its test does")]

mod support;

use std::path::Path;

use pac_config::{DriverSettings, Sources, resolve};
use support::{CONFIG_MAP, Files, effective, from_file, warnings};

fn password(content: &str) -> String {
    let resolved = from_file(&format!("concurrency-driver: postgresql\n{content}")).unwrap();
    let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { panic!() };
    settings.password.map(|password| password.expose().to_owned()).unwrap_or_default()
}

fn problems(content: &str) -> String {
    from_file(content).map(|_| ()).unwrap_err().to_string()
}

const MANIFESTS: &str = "\
# The files of the deployment guide, one after the other.
apiVersion: v1
kind: Secret
metadata:
  name: pac-concurrency-secret
type: Opaque
data:
  postgresql-password: eW91ci1zZWN1cmUtcGFzc3dvcmQ=
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: pipelines-as-code
data:
  application-name: 'Pipelines as Code CI'
  concurrency-enabled: \"true\"
  concurrency-driver: \"postgresql\"  # or \"etcd\" or \"memory\"
  postgresql-port: \"5433\"
  postgresql-password: \"\"
---
";

#[test]
fn a_flat_mapping_takes_strings_numbers_and_booleans() {
    let resolved =
        from_file("concurrency-enabled: true\nconcurrency-driver: 'memory'\nmemory-lease-ttl: 60\n").unwrap();
    assert!(resolved.settings.enabled);
    let expected = ("60".to_owned(), "file settings.yaml line 3".to_owned());
    assert_eq!(effective(&resolved, "memory-lease-ttl"), expected);
}

#[test]
fn manifests_of_config_map_and_secret_are_taken() {
    let resolved = from_file(MANIFESTS).unwrap();
    assert!(resolved.warnings.is_empty(), "{:?}", resolved.warnings);
    let expected = ("5433".to_owned(), "file settings.yaml line 18".to_owned());
    assert_eq!(effective(&resolved, "postgresql-port"), expected);
    let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { panic!() };
    assert_eq!(settings.password.unwrap().expose(), "your-secure-password");
}

#[test]
fn string_data_is_written_over_data() {
    let secret = "---\nkind: Secret\ndata: {postgresql-password: YQ==}\nstringData: {postgresql-password: plain}\n";
    assert_eq!(password(secret), "plain");
}

#[test]
fn a_password_that_looks_like_a_number_keeps_its_text() {
    for written in ["1e5", "0x1F", "007", "1.50", "true", "+1"] {
        assert_eq!(password(&format!("postgresql-password: {written}")), written);
    }
}

#[test]
fn null_is_no_value() {
    assert_eq!(password("postgresql-password: ~\npostgresql-port:\n"), "");
}

#[test]
fn the_file_stands_in_for_the_config_map_and_leaves_the_secret() {
    let files = Files::default().with("f.yaml", "concurrency-driver: postgresql");
    let sources = Sources::new()
        .with_config_map(CONFIG_MAP, [("concurrency-driver", "etcd")])
        .with_secret("ns/s", [("postgresql-password", "kept")])
        .with_local_file(Path::new("f.yaml"), &files);
    let resolved = resolve(&sources, &files).unwrap();
    let DriverSettings::PostgreSql(settings) = resolved.settings.driver else { panic!() };
    assert_eq!(settings.password.unwrap().expose(), "kept");
}

#[test]
fn values_without_quotes_in_a_manifest_get_a_warning() {
    let resolved = from_file("kind: ConfigMap\ndata:\n  memory-lease-ttl: 60\n").unwrap();
    let expected = ["memory-lease-ttl: is not in quotes in settings.yaml: Kubernetes refuses such a manifest"];
    assert_eq!(warnings(&resolved), expected);
}

#[test]
fn an_empty_file_is_all_defaults_with_a_warning() {
    for content in ["", "# nothing\n", "---\n---\n"] {
        let resolved = from_file(content).unwrap();
        assert_eq!(warnings(&resolved), ["settings.yaml: holds no settings: all have their defaults"]);
    }
    assert!(from_file("kind: ConfigMap\n").unwrap().warnings.is_empty());
}

/// Content of a file, and every line it gets.
const BROKEN: &[(&str, &str)] = &[
    (
        "memory-lease-ttl: 1m\nmemory-lease-ttl: 2m\n",
        "memory-lease-ttl: appears twice (from file settings.yaml line 2)",
    ),
    (
        "memory-lease-ttl:\n  nested: 1m\n",
        "memory-lease-ttl: is a mapping, not a single value (from file settings.yaml line 1)",
    ),
    ("etcd-endpoints: [a, b]\n", "etcd-endpoints: is a list, not a single value (from file settings.yaml line 1)"),
    (
        "postgresql-password: !hunter2 x\n",
        "postgresql-password: has a YAML tag; write the value in quotes (from file settings.yaml line 1)",
    ),
    ("- a\n- b\n", "settings.yaml: is not a mapping of keys to values"),
    ("hunter2\n", "settings.yaml: is not a mapping of keys to values"),
    ("a: b\n c: d\n", "settings.yaml: is not YAML: mapping values are not allowed in this context at line 2 column 3"),
    (
        "kind: Deployment\n",
        "settings.yaml line 1: has the unknown kind \"Deployment\" \
         (allowed: ConfigMap, Secret, or a flat mapping of keys)",
    ),
    ("apiVersion: v1\ndata: {}\n", "settings.yaml: has an apiVersion but no kind, so it is no manifest"),
    ("kind: ConfigMap\ndata: text\n", "settings.yaml line 2: data is not a mapping of keys to values"),
    ("kind: ConfigMap\ndata: {}\ndata: {}\n", "settings.yaml: has data twice in one manifest"),
    ("kind: ConfigMap\n---\nkind: ConfigMap\n", "settings.yaml: holds more than one ConfigMap or mapping of keys"),
    ("kind: Secret\n---\nkind: Secret\n", "settings.yaml: holds more than one Secret"),
    (
        "kind: Secret\ndata:\n  etcd-password: hunter2!\n",
        "etcd-password: is not base64; put plain text under stringData, or data of a ConfigMap (from file settings.yaml line 3)",
    ),
    (
        "\"memory-lease-ttl\": 1s\n",
        "memory-lease-ttl: \"1s\" is too short (allowed: 10s to 8760h, such as 30s, 1m30s or 1h; a bare number is \
         seconds; from file settings.yaml line 1)",
    ),
];

#[test]
fn what_is_wrong_with_a_file_names_file_key_and_line() {
    for (content, expected) in BROKEN {
        assert_eq!(problems(content), *expected);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_beside_the_others() {
    let files = Files::default().with("latin1.yaml", b"caf\xe9".to_vec());
    let sources = Sources::new().with_environment([("PAC_MEMORY_LEASE_TTL", "x")]);
    for (path, message) in [("none.yaml", "can't be read: no such file"), ("latin1.yaml", "is not UTF-8 text")] {
        let sources = sources.clone().with_local_file(Path::new(path), &files);
        let text = resolve(&sources, &files).unwrap_err().to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(text.starts_with("memory-lease-ttl: \"x\" is not a duration"), "{text}");
        assert!(text.ends_with(&format!("\n{path}: {message}")), "{text}");
    }
}

/// As Windows' editors and PowerShell write files.
#[test]
fn a_byte_order_mark_is_no_part_of_a_file_and_other_encodings_are_named() {
    let marked = from_file(&format!("\u{feff}{MANIFESTS}")).unwrap();
    assert!(marked.settings.enabled && marked.warnings.is_empty(), "{:?}", marked.warnings);
    assert!(from_file("\u{feff}concurrency-enabled: true\n").unwrap().settings.enabled);
    let utf16: Vec<u8> = [0xFF, 0xFE].into_iter().chain("a: b".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let files = Files::default().with("settings.yaml", utf16);
    let problem = resolve(&Sources::new().with_local_file(Path::new("settings.yaml"), &files), &files).unwrap_err();
    assert_eq!(problem.to_string(), "settings.yaml: is UTF-16 text, as Windows' tools write it; save it as UTF-8");
}

#[test]
fn binary_data_of_a_config_map_counts() {
    let manifest = "kind: ConfigMap\ndata: {memory-lease-ttl: 1h}\nbinaryData: {concurrency-enabled: 77u/dHJ1ZQ==}\n";
    assert!(from_file(manifest).unwrap().settings.enabled, "a byte order mark before it is no part of it");
    let utf16 = "kind: ConfigMap\nbinaryData:\n  concurrency-enabled: //50AHIAdQBlAA==\n";
    let expected = "concurrency-enabled: is UTF-16 text, as Windows' tools write it; save it as UTF-8 (from file settings.yaml line 3)";
    assert_eq!(problems(utf16), expected);
}
