//! The port for tenants, as `config/tenants.yaml` and `config/tenants-patch.yaml` have it served: two rules more and no other, in a
//! Deployment that is else as it was.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Command, Stdio};
use std::time::Duration;

use pac_devservers::free_port;
use pac_devservers::process::{Child, wait_until};
use serde_json::{Value, json};

use support::applied::{apply, assert_settled, deploy};
use support::cluster::{Cluster, PACS_NAME, PACS_WATCHER};
use support::guard::Guard;
use support::helm::{name, render};
use support::rules::Rules;
use support::typed::documents;
use support::{error_of, program, rendered, variant, workspace};

const PATIENCE: Duration = Duration::from_secs(120);

fn config(file: &str) -> String {
    std::fs::read_to_string(workspace().join("config").join(file)).unwrap()
}

/// The rules of one ClusterRole of the file, with a Role that has none.
fn rules_of(name: &str) -> Rules {
    let role = documents(&config("tenants.yaml"));
    let role = role.iter().find(|one| one["kind"] == "ClusterRole" && one["metadata"]["name"] == name).unwrap();
    let none = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {}, "rules": []});
    Rules::of(&format!("{}---\n{}", serde_yaml::to_string(role).unwrap(), serde_yaml::to_string(&none).unwrap()))
}

fn create(cluster: &Cluster, path: &str, object: &Value) -> Value {
    ureq::post(format!("{}{path}", cluster.url)).send_json(object).unwrap().body_mut().read_json().unwrap()
}

/// A namespace with a Repository, and a token of somebody who is bound there to the role that is for looking.
fn furnish(cluster: &Cluster) -> String {
    let settings = json!({"metadata": {"name": "pipelines-as-code"}, "data": {"concurrency-enabled": "true"}});
    create(cluster, "/api/v1/namespaces/pipelines-as-code/configmaps", &settings);
    create(cluster, "/api/v1/namespaces", &json!({"metadata": {"name": "ci"}}));
    let repository =
        json!({"metadata": {"name": "repo"}, "spec": {"url": "https://git.example.com/o/r", "concurrency_limit": 1}});
    create(cluster, "/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/ci/repositories", &repository);
    create(cluster, "/api/v1/namespaces/ci/serviceaccounts", &json!({"metadata": {"name": "bot"}}));
    let binding = json!({
        "metadata": {"name": "bot"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pac-concurrency-viewer"},
        "subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}],
    });
    create(cluster, "/apis/rbac.authorization.k8s.io/v1/namespaces/ci/rolebindings", &binding);
    let token = cluster.run(&["create", "token", "bot", "-n=ci", "--audience=pac-concurrency"]);
    token.trim().to_owned()
}

#[test]
fn the_watcher_needs_two_rules_more_and_no_other() {
    let cluster = Cluster::start();
    let tenants = workspace().join("config/tenants.yaml");
    cluster.run(&["apply", "--server-side", "--filename", tenants.to_str().unwrap()]);
    let token = furnish(&cluster);
    let (_folder, files) = variant(["standalone", "memory"]);
    let (mut rules, more) = (Rules::of(&files["roles.yaml"]), rules_of("pac-concurrency-tenants").permissions);
    assert_eq!(more.len(), 2, "{more:?}");
    rules.permissions.extend(more.clone());
    let guard = Guard::before(cluster.url.trim_start_matches("http://"), rules);
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig()).unwrap().replace(&cluster.url, &guard.url);
    let kubeconfig = cluster.file("guarded", &kubeconfig);
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let mut command = Command::new(program("pac-watcher"));
    command.args(["run", "--identity", "one", "--kubeconfig"]).arg(kubeconfig);
    command.env("PAC_WATCHER_TENANTS_ADDR", &address);
    for flag in ["--metrics-addr", "--probe-addr", "--admin-addr"] {
        command.arg(flag).arg(format!("127.0.0.1:{}", free_port().unwrap()));
    }
    let log = File::create(cluster.folder.path().join("log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let _watcher = Child::spawn("the watcher", command).unwrap();
    let status = |path: &str| {
        let asked = ureq::get(format!("http://{address}{path}")).header("Authorization", format!("Bearer {token}"));
        let answered = asked.config().http_status_as_error(false).build().call();
        answered.map_or(0, |answered| answered.status().as_u16())
    };
    wait_until("a viewer sees the namespace", PATIENCE, || Ok(status("/queue/summary?namespace=ci") == 200))
        .unwrap_or_else(|error| panic!("{error}; refused: {:?}", guard.refused()));
    assert_eq!([status("/queue/summary?namespace=default"), status("/queue/summary")], [403, 403]);
    let unused: BTreeSet<_> = more.difference(&guard.used()).cloned().collect();
    assert!(unused.is_empty() && guard.refused().is_empty(), "{unused:?} {:?}", guard.refused());
}

#[test]
fn the_patch_adds_to_the_deployment_and_a_later_apply_leaves_it() {
    let (_folder, files) = variant(["standalone", "postgresql"]);
    let cluster = Cluster::start();
    let deployment = cluster.file("deployment.yaml", &files["deployment.yaml"]);
    let apply = || cluster.run(&["apply", "--server-side", "--filename", deployment.to_str().unwrap()]);
    apply();
    let of = |deployment: &Value| deployment["spec"]["template"]["spec"].clone();
    let before = of(&cluster.get("deployment", "pac-concurrency-watcher"));
    let patch = workspace().join("config/tenants-patch.yaml");
    let namespace = "--namespace=pipelines-as-code";
    cluster.run(&[
        "patch",
        "deployment",
        "pac-concurrency-watcher",
        namespace,
        "--patch-file",
        patch.to_str().unwrap(),
    ]);
    for round in ["patched", "applied again"] {
        let after = of(&cluster.get("deployment", "pac-concurrency-watcher"));
        let (container, was) = (&after["containers"][0], &before["containers"][0]);
        assert_eq!(
            [&container["args"], &container["image"], &container["ports"]],
            [&was["args"], &was["image"], &was["ports"]]
        );
        let names = |list: &Value| -> BTreeSet<String> {
            let items = list.as_array().into_iter().flatten();
            items.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        for (list, more) in [("env", 3), ("volumeMounts", 1)] {
            let (now, then) = (names(&container[list]), names(&was[list]));
            assert!(now.is_superset(&then) && now.len() == then.len() + more, "{round} {list}: {now:?}");
        }
        assert_eq!(names(&after["volumes"]).len(), names(&before["volumes"]).len() + 1, "{round}");
        apply();
    }
}

/// What of the port the cluster has besides the Deployment, `kind/name` each.
fn of_tenants(cluster: &Cluster) -> Vec<String> {
    let kinds = "services,networkpolicies,clusterroles,clusterrolebindings";
    let all = cluster.run(&["get", kinds, "--namespace=pipelines-as-code", "--output=name"]);
    all.lines()
        .filter(|name| name.ends_with("-tenants"))
        .map(|name| name.replace(".rbac.authorization.k8s.io", ""))
        .collect()
}

/// What a Deployment's pods are to be. A list that came to be empty is none: a real API server doesn't write it down.
fn pod_of(cluster: &Cluster, deployment: &str) -> Value {
    let mut pod = cluster.get("deployment", deployment)["spec"]["template"]["spec"].take();
    let is_there = |value: &Value| value.as_array().is_none_or(|list| !list.is_empty());
    for container in pod["containers"].as_array_mut().unwrap() {
        container.as_object_mut().unwrap().retain(|_, value| is_there(value));
    }
    pod.as_object_mut().unwrap().retain(|_, value| is_there(value));
    pod
}

/// By the real kubectl.
#[test]
fn the_command_serves_tenants_keeps_it_so_and_takes_it_away_again() {
    const OURS: &str = "pac-concurrency-watcher";
    let cluster = Cluster::start();
    apply(&cluster, &["--driver=memory"]);
    let plain = pod_of(&cluster, OURS);
    assert_eq!(of_tenants(&cluster), [""; 0], "the least rights, unless somebody asks for more");

    let said = apply(&cluster, &["--tenants", "--tenants-audience=pac-concurrency,https://kubernetes.default.svc"]);
    assert!(said.contains("Secret pac-concurrency-tenants (tls.crt, tls.key), which is yours to make"), "{said}");
    let served = pod_of(&cluster, OURS);
    let by_hand = documents(&config("tenants-patch.yaml")).remove(0);
    let wanted = &by_hand["spec"]["template"]["spec"];
    let of = |pod: &Value, list: &str| pod["containers"][0][list].clone();
    assert_eq!([&of(&served, "volumeMounts"), &served["volumes"]], [&of(wanted, "volumeMounts"), &wanted["volumes"]]);
    let audience =
        json!({"name": "PAC_WATCHER_TENANTS_AUDIENCE", "value": "pac-concurrency,https://kubernetes.default.svc"});
    let variables = of(wanted, "env").as_array().unwrap().iter().cloned().chain([audience]).collect::<Vec<_>>();
    assert_eq!(of(&served, "env"), Value::from(variables));
    for object in documents(&config("tenants.yaml")) {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        let found = cluster.get(kind, name);
        for part in ["rules", "subjects", "roleRef"] {
            assert_eq!(found.get(part), object.get(part), "{kind} {name}");
        }
    }

    // Nobody says it again, and it stays.
    let said = apply(&cluster, &[]);
    assert!(!said.contains("which is yours to make"), "{said}");
    assert_eq!(pod_of(&cluster, OURS), served);

    let said = apply(&cluster, &["--tenants=false"]);
    assert!(said.contains("removing the port for tenants"), "{said}");
    assert_eq!(pod_of(&cluster, OURS), plain);
    assert_eq!(of_tenants(&cluster), [""; 0]);
    // Somebody may be bound to it.
    cluster.get("clusterrole", "pac-concurrency-viewer");
    assert_settled(&cluster);
}

/// By the files of config/, as before there was a flag for it; in PAC's pod, whose fields are kept by whoever patched them.
#[test]
fn what_was_served_by_hand_is_taken_over_and_taken_away() {
    let cluster = Cluster::start();
    cluster.run(&["create", "--filename", cluster.file("pac.yaml", PACS_WATCHER).to_str().unwrap()]);
    let companion = ["--mode=companion", "--driver=memory", "--placement=pod"];
    apply(&cluster, &companion);
    let plain = pod_of(&cluster, PACS_NAME);
    let tenants = workspace().join("config/tenants.yaml");
    cluster.run(&["apply", "--filename", tenants.to_str().unwrap()]);
    let patch = workspace().join("config/tenants-patch.yaml");
    let patching = ["patch", "deployment", PACS_NAME, "--namespace=pipelines-as-code", "--patch-file"];
    let patch =
        std::fs::read_to_string(patch).unwrap().replace("name: pac-concurrency-watcher\n  namespace", "namespace");
    let patch = cluster.file("patch.yaml", &patch);
    cluster.run(&[&patching[..], &[patch.to_str().unwrap()]].concat());
    let by_hand = pod_of(&cluster, PACS_NAME);
    assert_ne!(by_hand, plain);

    apply(&cluster, &[]);
    assert_eq!(pod_of(&cluster, PACS_NAME), by_hand);
    let account = cluster.get("clusterrolebinding", "pac-concurrency-tenants")["subjects"][0]["name"].clone();
    assert_eq!(account, PACS_NAME, "as whom the watcher asks there");
    let selector = cluster.get("service", "pac-concurrency-tenants")["spec"]["selector"].clone();
    assert_eq!(selector["concurrency.pipelinesascode.tekton.dev/companion"], "true");

    apply(&cluster, &["--tenants=false"]);
    assert_eq!((pod_of(&cluster, PACS_NAME), of_tenants(&cluster)), (plain.clone(), Vec::new()));
}

#[test]
fn what_makes_no_port_for_tenants_is_refused() {
    for (arguments, words) in [
        (&["--mode=shadow", "--tenants"][..], "--tenants: is not for --mode shadow"),
        (&["--tenants=false", "--tenants-audience=x"], "there is no port for tenants with --tenants=false"),
        (&["--tenants-audience=a b"], "an audience, such as pac-concurrency"),
    ] {
        let output = support::deploy(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error_of(&output).contains(words), "{}", error_of(&output));
    }
    let cluster = Cluster::start();
    let output = deploy(&cluster, &["--tenants", "--diff"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("+  name: pac-concurrency-tenants"),
        "{}",
        error_of(&output)
    );
    // Whoever applies files has it in them.
    let (_folder, files) = rendered(&["--tenants", "--driver=memory"]);
    assert_eq!(documents(&files["tenants.yaml"]), documents(&config("tenants.yaml")));
    assert!(
        files["kustomization.yaml"].contains("tenants.yaml")
            && files["deployment.yaml"].contains("PAC_WATCHER_TENANTS_ADDR")
    );
}

#[test]
fn who_may_look_may_change_nothing_and_who_operates_may_patch_two_kinds() {
    let text = |name: &str| format!("{:?}", rules_of(name).permissions);
    for verb in ["create", "update", "patch", "delete", "watch", "*"] {
        assert!(!text("pac-concurrency-viewer").contains(&format!("\"{verb}\"")), "{verb}");
    }
    let operator = rules_of("pac-concurrency-operator").permissions;
    let patched = operator.iter().filter(|one| format!("{one:?}").contains("\"patch\"")).count();
    assert_eq!((operator.len(), patched), (6, 2));
    let roles = documents(&config("tenants.yaml"));
    let aggregated =
        roles.iter().filter(|one| one.to_string().contains("aggregate-to-")).map(|one| &one["metadata"]["name"]);
    assert_eq!(aggregated.collect::<Vec<_>>(), ["pac-concurrency-viewer"]);
}

#[test]
fn the_chart_has_the_same_where_it_is_asked_for() {
    let tenants = json!({"enabled": true});
    let for_both = json!({"enabled": true, "audiences": ["a", "b"]});
    let more = json!({"tenants": for_both, "driver": "memory", "extraEnv": [{"name": "A", "value": "b"}]});
    let plain = json!({"tenants": tenants, "driver": "postgresql"});
    let shadow = json!({"mode": "shadow", "tenants": tenants});
    let said = render(&[(plain, "pipelines-as-code"), (more, "pipelines-as-code"), (json!({}), "ns"), (shadow, "ns")]);
    let wanted = documents(&config("tenants.yaml").replace("managed-by: cargo-xtask-deploy", "managed-by: Helm"));
    let patch = documents(&config("tenants-patch.yaml")).remove(0);
    let of = |deployment: &Value| deployment["spec"]["template"]["spec"].clone();
    for answer in &said.answers[..2] {
        let objects = answer.objects();
        for object in &wanted {
            assert_eq!(&objects[&name(object)], object);
        }
        let (pod, patch) = (of(&objects["Deployment pac-concurrency-watcher"]), of(&patch));
        let has = |list: &Value, wanted: &Value| {
            let list = list.as_array().unwrap();
            wanted.as_array().unwrap().iter().all(|one| list.contains(one))
        };
        let (container, added) = (&pod["containers"][0], &patch["containers"][0]);
        assert!(has(&container["env"], &added["env"]), "{container}");
        assert!(has(&container["volumeMounts"], &added["volumeMounts"]), "{container}");
        assert!(has(&pod["volumes"], &patch["volumes"]), "{pod}");
    }
    let audience = json!({"name": "PAC_WATCHER_TENANTS_AUDIENCE", "value": "a,b"});
    let env = |answer: usize| {
        let deployment = &said.answers[answer].objects()["Deployment pac-concurrency-watcher"];
        of(deployment)["containers"][0]["env"].as_array().unwrap().contains(&audience)
    };
    assert_eq!([env(0), env(1)], [false, true]);
    for answer in &said.answers[2..] {
        let without = answer.objects();
        assert!(
            !without.keys().any(|name| name.contains("tenants") || name.contains("-viewer")),
            "{:?}",
            without.keys()
        );
        let deployments = without.iter().filter(|(name, _)| name.starts_with("Deployment "));
        assert!(deployments.map(|(_, object)| object.to_string()).all(|text| !text.contains("TENANTS")));
    }
}
