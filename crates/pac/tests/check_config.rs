//! `pac-watcher check-config` as a person runs it, on a laptop and in the watcher's pod.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use serde_json::{Value, json};
use support::{Said, Store, World, command, said};

fn check(world: &World, arguments: &[&str]) -> Said {
    said(&mut command(world, &[&["check-config"], arguments].concat()))
}

#[test]
fn to_look_at_the_server_changes_nothing_there() {
    let store = Store::postgresql();
    let world = World::new(&store.settings());
    let looked = check(&world, &["--connect"]);
    assert!(looked.code == 0 && looked.out.contains("\nconnected: postgresql at 127.0.0.1:"), "{looked:?}");
    assert!(looked.out.contains("\na watcher: would create the schema, at version "), "{looked:?}");
    assert!(store.is_untouched());
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    watcher.stop();
    let looked = check(&world, &["--connect"]);
    assert!(looked.code == 0 && looked.out.contains("\na watcher: finds the schema as it needs it"), "{looked:?}");
    let Store::Postgres(server) = &store else { unreachable!() };
    let older = "DELETE FROM pac_concurrency.migrations WHERE version > 2";
    server.administer_in("pac_concurrency", older).unwrap();
    let looked = check(&world, &["--connect"]);
    assert!(looked.out.contains("\na watcher: would migrate the schema from version 2 to "), "{looked:?}");
    let count = "SELECT max(version) FROM pac_concurrency.migrations";
    assert_eq!(server.administer_in("pac_concurrency", count).unwrap(), "2");
}

#[test]
fn who_may_only_read_is_told_which_grant_is_missing() {
    let store = Store::postgresql();
    let Store::Postgres(server) = &store else { unreachable!() };
    let world = World::new(&store.settings());
    let mut watcher = world.watcher("watcher");
    watcher.becomes_ready(true);
    watcher.stop();
    server.administer("CREATE USER reader WITH PASSWORD 'x'").unwrap();
    let rights = "GRANT USAGE ON SCHEMA pac_concurrency TO reader;
                  GRANT SELECT ON ALL TABLES IN SCHEMA pac_concurrency TO reader";
    server.administer_in("pac_concurrency", rights).unwrap();
    world.settings(&json!({"postgresql-username": "reader", "postgresql-password": "x"}));
    let looked = check(&world, &["--connect"]);
    assert!(looked.code == 1 && looked.out.contains("\nconnected: postgresql at"), "{looked:?}");
    assert!(
        looked.err.starts_with("error: can't write: ") && looked.err.contains("GRANT SELECT, INSERT"),
        "{looked:?}"
    );
}

#[test]
fn files_of_the_pod_need_not_be_on_the_laptop() {
    let settings =
        json!({"concurrency-driver": "etcd", "etcd-endpoints": "https://127.0.0.1:1", "etcd-ca-file": "/none/ca.crt"});
    let world = World::new(&settings);
    let laptop = check(&world, &[]);
    assert!(laptop.code == 0 && laptop.out.contains("etcd-endpoints "), "{laptop:?}");
    let warning = "  etcd-ca-file: \"/none/ca.crt\" is not on this machine, and was not checked\n";
    assert!(laptop.out.contains(warning), "{laptop:?}");
    let untried = check(&world, &["--connect"]);
    assert!(untried.code == 1 && untried.err.contains("kubectl exec -n pipelines-as-code "), "{untried:?}");
    let pod = said(command(&world, &["check-config"]).env("KUBERNETES_SERVICE_HOST", "127.0.0.1"));
    assert!(pod.code == 2 && pod.out.contains("\"/none/ca.crt\" can't be read: no such file"), "{pod:?}");
}

#[test]
fn what_is_not_there_is_said() {
    let world = World::new(&json!({"concurrency-driver": "memory"}));
    let found = check(&world, &[]);
    assert!(found.code == 0, "{found:?}");
    assert!(
        found.out.starts_with("There is no Secret pipelines-as-code/pac-concurrency-secret.\nSETTING"),
        "{found:?}"
    );
    for wrong in [["--namespace", "elsewhere"], ["--configmap", "none"]] {
        let said = check(&world, &wrong);
        assert!(
            said.code == 2 && said.out.is_empty() && said.err.contains("there are no settings: ConfigMap "),
            "{said:?}"
        );
    }
    // PAC's, without any setting of ours, and none of our own.
    let create = |name: &str, data: &Value| {
        let map = json!({"metadata": {"name": name}, "data": data});
        world.cluster.store().create("configmaps", "pipelines-as-code", map).unwrap();
    };
    create("pacs", &json!({"application-name": "CI"}));
    let none = check(&world, &["--configmap", "pacs"]);
    let missing = "there are no settings: ConfigMap pipelines-as-code/pac-concurrency, and Secret ";
    assert!(none.code == 2 && none.err.contains(missing), "{none:?}");
    // Our own alone.
    create("pac-concurrency", &json!({"memory-lease-ttl": "1h"}));
    let own = check(&world, &["--configmap", "pacs"]);
    // However wide the columns are.
    let mut rows = own.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert!(
        own.code == 0 && rows.any(|row| row == "memory-lease-ttl 1h ConfigMap pipelines-as-code/pac-concurrency"),
        "{own:?}"
    );
    let moved =
        said(&mut command(&world, &["migrate", "--from", "etcd", "--to", "postgresql", "--namespace", "elsewhere"]));
    assert!(
        moved.code == 2 && moved.err.contains("there are no settings: ConfigMap elsewhere/pipelines-as-code"),
        "{moved:?}"
    );
    let given =
        said(command(&world, &["check-config", "--namespace", "elsewhere"]).env("PAC_CONCURRENCY_ENABLED", "true"));
    assert!(given.code == 0 && given.out.starts_with("There is no ConfigMap elsewhere/"), "{given:?}");
}
