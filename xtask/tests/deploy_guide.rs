//! docs/installation.md, which has the deployment guide's commands, read top to bottom as an administrator would, against the
//! development cluster and a real PostgreSQL with TLS. In the end the watcher says what the guide promises.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pac_devservers::postgres::{Postgres, give_to_server};
use pac_devservers::process::wait_until;
use serde_json::Value;

use support::api::Api;
use support::cluster::{Cluster, PACS_NAME, PACS_SETTINGS, PACS_WATCHER};
use support::node::Node;
use support::page::{Page, copy_config, run};
use support::typed::documents;
use support::workspace;

const PAGE: &str = "installation.md";
const PATIENCE: Duration = Duration::from_secs(60);
const LIMIT: u32 = 2;

/// PAC as its release leaves it, applied as its documentation says: plainly.
fn install_pac(cluster: &Cluster) -> Api {
    let controller = PACS_WATCHER.replace("-watcher, namespace", "-controller, namespace");
    for (name, text) in [("watcher", PACS_WATCHER), ("controller", controller.as_str()), ("settings", PACS_SETTINGS)] {
        let file = cluster.file(&format!("{name}.yaml"), text);
        cluster.run(&["apply", "--filename", file.to_str().unwrap()]);
    }
    let api = cluster.api();
    api.create_repository(LIMIT);
    api
}

/// A server with TLS, with the page's database and user.
fn prepare_store(page: &Page) -> Postgres {
    let postgres = Postgres::start_empty(&[]).unwrap();
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let data = postgres.folder().join("data");
    for (file, text) in [("server.crt", certified.cert.pem()), ("server.key", certified.signing_key.serialize_pem())] {
        let path = data.join(file);
        fs::write(&path, text).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        give_to_server(&path).unwrap();
    }
    postgres.administer("ALTER SYSTEM SET ssl = on").unwrap();
    postgres.administer("SELECT pg_reload_conf()").unwrap();
    let [statements] = page.all("sql", "The store")[..] else { panic!("one block of SQL") };
    for statement in statements.text.split_terminator(";\n") {
        postgres.administer(statement).unwrap();
    }
    postgres
}

/// What the page has for the reader to fill in.
fn filled_in(commands: &str, postgres: &Postgres) -> String {
    let port = format!("postgresql-port={}", postgres.port());
    commands
        .replace("--set postgresql-host=your-postgresql-host", &format!("--set postgresql-host=127.0.0.1 --set {port}"))
}

/// The administrator's editor: puts the page's values into the file.
fn edit_config_map(page: &Page, file: &Path, postgres: &Postgres) {
    let [block] = page.all("yaml", "Update the ConfigMap")[..] else { panic!("one ConfigMap") };
    let wanted = &documents(&block.text)[0];
    let mut text = fs::read_to_string(file).unwrap();
    for (key, value) in wanted["data"].as_object().unwrap() {
        let value = match key.as_str() {
            "postgresql-host" => "127.0.0.1".to_owned(),
            "postgresql-port" => postgres.port().to_string(),
            _ => value.as_str().unwrap().to_owned(),
        };
        let line = text.lines().find(|line| line.starts_with(&format!("  {key}: "))).expect(key).to_owned();
        text = text.replace(&format!("{line}\n"), &format!("  {key}: \"{value}\"\n"));
    }
    fs::write(file, text).unwrap();
}

/// The system works, and says so in the guide's words.
fn assert_at_work(cluster: &Cluster, node: &Node, api: &Api) {
    let names: Vec<String> = (1..=5).map(|number| format!("pipeline-run-{number}")).collect();
    wait_until("the watcher is there", PATIENCE, || Ok(node.log().contains("admitting PipelineRuns"))).unwrap();
    api.push(&names);
    wait_until("all runs are done", PATIENCE, || Ok(api.count("completed") == names.len())).unwrap();
    let log = node.log();
    for line in [
        "Initialized concurrency system with driver: postgresql",
        "acquired concurrency slot for ci/pipeline-run-1",
        "concurrency limit reached for repository ci/repo",
    ] {
        assert!(log.contains(line), "{line:?} is not in:\n{log}");
    }
    assert_eq!(api.get("/_dev/verdict").unwrap()["promises"][0]["held"], true);
    let pacs = &documents(PACS_SETTINGS)[0]["data"];
    assert_eq!(cluster.get("configmap", "pipelines-as-code")["data"], *pacs, "PAC's own keys are there");
}

fn check(cluster: &Cluster, folder: &Path, page: &Page) {
    let said = run(cluster, folder, &page.commands("Check it"));
    for part in ["concurrency-enabled: \"true\"", "pac-concurrency-secret", "Opaque", "postgresql-password"] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(!said.contains("your-secure-password"), "{said}");
}

#[test]
fn the_guides_commands_lead_to_a_working_system() {
    let cluster = Cluster::start();
    let page = Page::read(PAGE);
    let folder = cluster.folder.path();
    let postgres = prepare_store(&page);
    let api = install_pac(&cluster);
    let node = Node::start(&cluster);
    let follow = |heading: &str| run(&cluster, folder, &page.commands(heading));
    let config = copy_config(folder);

    follow("By hand, as the deployment guide has it");
    follow("Create the Secret");
    edit_config_map(&page, &config.join("302-pac-configmap.yaml"), &postgres);
    follow("Deploy the configuration");
    for name in [PACS_NAME, "pipelines-as-code-controller"] {
        let template = &cluster.get("deployment", name)["spec"]["template"];
        assert!(template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"].is_string());
    }
    assert_at_work(&cluster, &node, &api);
    check(&cluster, folder, &page);

    // PAC's next release, and the guide's commands once more: nobody's keys go, and the watcher goes on.
    cluster.run(&["apply", "--filename", folder.join("settings.yaml").to_str().unwrap()]);
    follow("Deploy the configuration");
    check(&cluster, folder, &page);
    assert_eq!(cluster.get("secret", "pac-concurrency-secret")["data"].as_object().unwrap().len(), 1);
}

#[test]
fn one_command_and_the_secret_lead_to_a_working_system() {
    let cluster = Cluster::start();
    let page = Page::read(PAGE);
    let postgres = prepare_store(&page);
    let api = install_pac(&cluster);
    let node = Node::start(&cluster);
    run(&cluster, cluster.folder.path(), &filled_in(&page.commands("In one go"), &postgres));
    assert_at_work(&cluster, &node, &api);
    check(&cluster, cluster.folder.path(), &page);
}

#[test]
fn standalone_mode_is_applied_beside_a_pac_watcher_that_rests() {
    let cluster = Cluster::start();
    install_pac(&cluster);
    run(&cluster, cluster.folder.path(), &Page::read(PAGE).commands("Standalone mode"));
    assert_eq!(cluster.get("deployment", PACS_NAME)["spec"]["replicas"], 0);
    assert_eq!(cluster.get("deployment", "pac-concurrency-watcher")["spec"]["replicas"], 2);
    assert_eq!(cluster.get("configmap", "pac-concurrency")["data"]["postgresql-host"], "your-postgresql-host");

    run(&cluster, cluster.folder.path(), &Page::read(PAGE).commands("To remove it"));
    let kinds = "deployments,services,serviceaccounts,networkpolicies,poddisruptionbudgets,roles,rolebindings,leases,secrets,\
                 configmaps,clusterroles,clusterrolebindings,priorityclasses";
    let left = cluster.run(&["get", kinds, "--output=name"]);
    assert!(!left.contains("pac-concurrency"), "{left}");
    assert_eq!(cluster.get("deployment", PACS_NAME)["spec"]["replicas"], 1);
}

/// What an external tool provides, as the page has it.
#[test]
fn a_password_from_a_tool_reaches_the_pod() {
    let cluster = Cluster::start();
    let folder = cluster.folder.path();
    run(&cluster, folder, &Page::read(PAGE).commands("From a tool"));
    for (made, file) in [("with-vault", "/vault/secrets/pac"), ("with-csi", "/etc/pac-concurrency/external/password")] {
        let text = fs::read_to_string(folder.join(made).join("deployment.yaml")).unwrap();
        let deployment = &documents(&text)[0];
        let variable = &deployment["spec"]["template"]["spec"]["containers"][0]["env"][0];
        assert_eq!(variable["name"], "PAC_POSTGRESQL_PASSWORD_FILE");
        assert_eq!(variable["value"], file);
        let applied = folder.join(made).join("deployment.yaml");
        cluster.run(&["apply", "--server-side", "--validate=strict", "--filename", applied.to_str().unwrap()]);
    }
}

#[test]
fn the_secrets_of_the_page_are_what_it_says() {
    let cluster = Cluster::start();
    let page = Page::read(PAGE);
    let folder = cluster.folder.path();
    let [block] = page.all("yaml", "Create the Secret")[..] else { panic!("one Secret") };
    let file = cluster.file("secret.yaml", &block.text);
    cluster.run(&["apply", "--filename", file.to_str().unwrap()]);
    let from_file = cluster.get("secret", "pac-concurrency-secret")["data"].clone();
    cluster.run(&["delete", "secret", "pac-concurrency-secret"]);
    run(&cluster, folder, &page.commands("Create the Secret"));
    assert_eq!(cluster.get("secret", "pac-concurrency-secret")["data"], from_file);

    for file in ["ca.pem", "cert.pem", "key.pem"] {
        cluster.file(file, "-----BEGIN");
    }
    run(&cluster, folder, &page.commands("TLS files"));
    let keys = cluster.get("secret", "pac-concurrency-tls")["data"].as_object().unwrap().len();
    assert_eq!(keys, 3);

    // What the chart leaves.
    let chart = [
        "create",
        "secret",
        "generic",
        "etcd",
        "--from-literal=etcd-root-password=a",
        "--from-literal=etcd-username=b",
    ];
    cluster.run(&chart);
    let exported = format!("{}\necho $ETCD_USERNAME:$ETCD_ROOT_PASSWORD", page.commands("The store"));
    assert_eq!(run(&cluster, folder, &exported), "b:a\n");
}

/// Settings that the page shows are settings that can be used.
#[test]
fn settings_of_the_page_can_be_used() {
    let page = Page::read(PAGE);
    let [block] = page.all("yaml", "TLS files")[..] else { panic!("one block of settings") };
    let settings: Value = documents(&block.text)[0].clone();
    let set = settings.as_object().unwrap().iter();
    let set: Vec<String> = set.map(|(key, value)| format!("--set={key}={}", value.as_str().unwrap())).collect();
    let mut deploy = support::deploy(&["--driver", "etcd", "--output", "-"]);
    let output = deploy.args(set).output().unwrap();
    assert!(output.status.success(), "{}", support::error_of(&output));
}

/// Links between pages, and to files, lead somewhere.
#[test]
fn links_of_every_page_lead_somewhere() {
    let pages = Command::new("git").args(["ls-files", "*.md"]).current_dir(workspace()).output().unwrap();
    let pages = String::from_utf8(pages.stdout).unwrap();
    let mut dead = Vec::new();
    for page in pages.lines() {
        let path = workspace().join(page);
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
            let file = link.split('#').next().unwrap();
            let is_elsewhere = link.contains("://") || file.is_empty();
            if !is_elsewhere && !path.parent().unwrap().join(file).exists() {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

/// What a release has, from the first command to runs that are done.
#[test]
fn the_files_of_a_release_lead_to_a_working_system() {
    let cluster = Cluster::start();
    let page = Page::read(PAGE);
    let folder = cluster.folder.path();
    let postgres = prepare_store(&page);
    let api = install_pac(&cluster);
    let node = Node::start(&cluster);
    let install = folder.join("install.yaml");
    let mut deploy =
        support::deploy(&["--mode=companion", "--driver=postgresql", "--install", install.to_str().unwrap()]);
    assert!(deploy.status().unwrap().success());
    let settings = folder.join("302-pac-configmap.yaml");
    fs::copy(workspace().join("config/302-pac-configmap.yaml"), &settings).unwrap();
    edit_config_map(&page, &settings, &postgres);
    run(&cluster, folder, &page.commands("From a release"));
    assert_at_work(&cluster, &node, &api);
    check(&cluster, folder, &page);
    // The next release changes nothing of what is the administrator's.
    cluster.run(&["apply", "--filename", install.to_str().unwrap()]);
    check(&cluster, folder, &page);
}
