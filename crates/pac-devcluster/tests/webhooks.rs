//! Webhooks: called over TLS, with what they change and refuse, and what happens where they don't answer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::{Duration, Instant};

use kube::{
    Api, Client,
    api::{DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind, Status},
};
use pac_devcluster::{DevCluster, PacEvent, PacPlayer, PacRun};
use serde_json::{Value, json};
use support::webhook::{Answer, Validity, Webhook, patched};

const NAME: &str = "order.example.dev";
const SERVICE: &str = "order.ci.svc";

struct World {
    cluster: DevCluster,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let cluster = support::cluster().await;
        let client = support::client(&cluster);
        support::create(&cluster, "run");
        let service = json!({ "metadata": { "name": "order" }, "spec": { "ports": [{ "port": 443 }] } });
        cluster.store().create("services", "ci", service).unwrap();
        Self { cluster, client }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    /// A configuration of this kind with one webhook behind the Service, with `change` in it.
    async fn configure(&self, kind: &str, authority: &str, change: &Value) -> kube::Result<DynamicObject> {
        let mut webhook = json!({
            "name": NAME, "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
            "clientConfig": {
                "caBundle": authority, "service": { "namespace": "ci", "name": "order", "path": "/order" },
            },
            "rules": [{
                "apiGroups": ["tekton.dev"], "apiVersions": ["v1"], "operations": ["UPDATE"],
                "resources": ["pipelineruns"],
            }],
        });
        webhook.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": { "name": "order" },
            "webhooks": [webhook],
        });
        self.api(kind).patch("order", &PatchParams::apply("test"), &Patch::Apply(object)).await
    }

    /// A webhook that answers so, and a mutating configuration that asks it.
    async fn mutating(&self, answer: Box<Answer>) -> Webhook {
        let webhook = Webhook::start(SERVICE, Validity::Today, answer).await;
        self.serve(&webhook);
        self.configure("MutatingWebhookConfiguration", &webhook.authority, &json!({})).await.unwrap();
        webhook
    }

    fn serve(&self, webhook: &Webhook) {
        self.cluster.store().serve_service("ci", "order", &[webhook.address]);
    }

    async fn annotate(&self, how: &PatchParams) -> Result<DynamicObject, Status> {
        let patch = json!({ "metadata": { "annotations": { "a": "1" } } });
        match support::runs(&self.client).patch("run", how, &Patch::Merge(patch)).await {
            Ok(run) => Ok(run),
            Err(kube::Error::Api(status)) => Err(*status),
            Err(other) => panic!("{other}"),
        }
    }

    /// How the server words that the webhook wasn't reached.
    async fn problem(&self) -> String {
        let status = self.annotate(&PatchParams::default()).await.unwrap_err();
        assert_eq!((status.code, status.reason.as_str()), (500, "InternalError"));
        let start = format!("Internal error occurred: failed calling webhook \"{NAME}\": failed to call webhook: ");
        status.message.strip_prefix(&start).unwrap_or_else(|| panic!("{}", status.message)).to_owned()
    }
}

fn annotations(run: &DynamicObject) -> Vec<(String, String)> {
    let annotations = run.metadata.annotations.clone().unwrap_or_default();
    annotations.into_iter().filter(|(key, _)| !key.contains('/')).collect()
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn rename(_: &Value) -> Value {
    patched(&json!([
        { "op": "add", "path": "/metadata/annotations/b", "value": "2" },
        { "op": "remove", "path": "/metadata/annotations/a" },
    ]))
}

#[tokio::test]
async fn its_patch_is_applied_and_its_connection_used_again() {
    let world = World::new().await;
    let webhook = world.mutating(Box::new(rename)).await;
    let dry = world.annotate(&PatchParams::default().dry_run()).await.unwrap();
    assert_eq!(annotations(&dry), [pair("b", "2")]);
    assert_eq!(annotations(&support::runs(&world.client).get("run").await.unwrap()), []);
    assert_eq!(annotations(&world.annotate(&PatchParams::default()).await.unwrap()), [pair("b", "2")]);
    assert_eq!(webhook.asked(), 2);
    support::runs(&world.client).create(&PostParams::default(), &support::pending_run("other")).await.unwrap();
    assert_eq!(webhook.asked(), 2, "its rules are for updates");
}

#[tokio::test]
async fn a_review_says_what_is_written() {
    let world = World::new().await;
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let _webhook = world
        .mutating(Box::new(move |request| {
            told.send(request.clone()).unwrap();
            json!({ "allowed": true })
        }))
        .await;
    world.annotate(&PatchParams::default().dry_run()).await.unwrap();
    let request = heard.recv().await.unwrap();
    let kind = json!({ "group": "tekton.dev", "version": "v1", "kind": "PipelineRun" });
    let resource = json!({ "group": "tekton.dev", "version": "v1", "resource": "pipelineruns" });
    assert_eq!((&request["kind"], &request["resource"]), (&kind, &resource));
    let field = |name: &str| request[name].as_str().unwrap();
    assert_eq!((field("operation"), field("namespace"), field("name")), ("UPDATE", "ci", "run"));
    assert_eq!(request["dryRun"], true);
    assert_eq!(request["object"]["metadata"]["annotations"]["a"], "1");
    assert!(request["oldObject"]["metadata"]["annotations"]["a"].is_null());
}

#[tokio::test]
async fn conditions_selectors_and_dry_runs_are_looked_at_first() {
    let world = World::new().await;
    let webhook = world.mutating(Box::new(rename)).await;
    let nobody = json!({ "matchExpressions": [{ "key": "kubernetes.io/metadata.name", "operator": "DoesNotExist" }] });
    let condition = |expression: &str| json!({ "matchConditions": [{ "name": "c", "expression": expression }] });
    let kind = "MutatingWebhookConfiguration";
    for change in [
        json!({ "namespaceSelector": nobody }),
        json!({ "objectSelector": { "matchLabels": { "no": "such" } } }),
        condition("!('a' in object.metadata.annotations)"),
    ] {
        world.configure(kind, &webhook.authority, &change).await.unwrap();
        assert_eq!(annotations(&world.annotate(&PatchParams::default().dry_run()).await.unwrap()), [pair("a", "1")]);
    }
    assert_eq!(webhook.asked(), 0);
    world.configure(kind, &webhook.authority, &condition("object.nothing == 1")).await.unwrap();
    let refused = world.annotate(&PatchParams::default()).await.unwrap_err();
    assert_eq!((refused.code, refused.reason.as_str()), (403, "Forbidden"));
    world.configure(kind, &webhook.authority, &json!({ "matchConditions": [] })).await.unwrap();
    world.annotate(&PatchParams::default()).await.unwrap();
    assert_eq!(webhook.asked(), 1);
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words() {
    let world = World::new().await;
    let answer = |_: &Value| json!({ "allowed": false, "status": { "code": 418, "message": "not today" } });
    let webhook = Webhook::start(SERVICE, Validity::Today, Box::new(answer)).await;
    world.serve(&webhook);
    world.configure("ValidatingWebhookConfiguration", &webhook.authority, &json!({})).await.unwrap();
    let refused = world.annotate(&PatchParams::default()).await.unwrap_err();
    assert_eq!(refused.code, 418);
    assert_eq!(refused.message, format!("admission webhook \"{NAME}\" denied the request: not today"));
}

#[tokio::test]
async fn who_is_away_fails_the_request_unless_failures_are_ignored() {
    let world = World::new().await;
    let webhook = world.mutating(Box::new(rename)).await;
    let url = "Post \"https://order.ci.svc:443/order?timeout=1s\": ";
    let (address, authority) = (webhook.address, webhook.authority.clone());
    drop(webhook);
    assert_eq!(world.problem().await, format!("{url}dial tcp {address}: connect: connection refused"));
    world.cluster.store().serve_service("ci", "order", &[]);
    assert_eq!(world.problem().await, format!("{url}no endpoints available for service \"order\""));
    world.cluster.store().delete("services", "ci", "order").unwrap();
    assert_eq!(world.problem().await, format!("{url}service \"order\" not found"));
    let ignore = json!({ "failurePolicy": "Ignore" });
    world.configure("MutatingWebhookConfiguration", &authority, &ignore).await.unwrap();
    assert_eq!(annotations(&world.annotate(&PatchParams::default()).await.unwrap()), [pair("a", "1")]);
}

#[tokio::test]
async fn who_is_slow_is_waited_for_as_long_as_is_said() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.cluster.store().serve_service("ci", "order", &[listener.local_addr().unwrap()]);
    world.configure("MutatingWebhookConfiguration", "", &json!({})).await.unwrap();
    let begun = Instant::now();
    assert!(world.problem().await.ends_with("\": context deadline exceeded"));
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&begun.elapsed()));
}

#[tokio::test]
async fn a_certificate_has_to_be_valid_and_vouched_for() {
    let world = World::new().await;
    let webhook = world.mutating(Box::new(rename)).await;
    let kind = "MutatingWebhookConfiguration";
    let ends = |problem: String, end: &str| assert!(problem.ends_with(end), "{problem}");
    world.configure(kind, "", &json!({})).await.unwrap();
    ends(world.problem().await, "x509: certificate signed by unknown authority");
    let old = Webhook::start(SERVICE, Validity::Yesterday, Box::new(rename)).await;
    world.serve(&old);
    world.configure(kind, &old.authority, &json!({})).await.unwrap();
    ends(world.problem().await, "x509: certificate has expired or is not yet valid");
    let other = Webhook::start("other.ci.svc", Validity::Today, Box::new(rename)).await;
    world.serve(&other);
    world.configure(kind, &other.authority, &json!({})).await.unwrap();
    ends(world.problem().await, "but wanted to match order.ci.svc");
    world.serve(&webhook);
    world.configure(kind, &webhook.authority, &json!({})).await.unwrap();
    world.annotate(&PatchParams::default()).await.unwrap();
}

#[tokio::test]
async fn an_answer_to_something_else_is_none() {
    let world = World::new().await;
    let _webhook = world.mutating(Box::new(|_| json!({ "allowed": true, "uid": "other" }))).await;
    let status = world.annotate(&PatchParams::default()).await.unwrap_err();
    assert!(status.message.contains("received invalid webhook response: expected response.uid="), "{}", status.message);
}

#[tokio::test]
async fn a_url_on_this_machine_is_called_and_no_other() {
    let world = World::new().await;
    let webhook = Webhook::start("localhost", Validity::Today, Box::new(rename)).await;
    let kind = "MutatingWebhookConfiguration";
    let at = |url: String| json!({ "clientConfig": { "caBundle": webhook.authority, "url": url } });
    let port = webhook.address.port();
    world.configure(kind, "", &at(format!("https://localhost:{port}/order"))).await.unwrap();
    assert_eq!(annotations(&world.annotate(&PatchParams::default()).await.unwrap()), [pair("b", "2")]);
    world.configure(kind, "", &at("https://192.0.2.1/order".to_owned())).await.unwrap();
    assert!(world.problem().await.ends_with("connect: network is unreachable"));
}

#[tokio::test]
async fn a_configuration_that_can_not_work_is_refused() {
    let world = World::new().await;
    let refused = |change: Value| {
        let world = &world;
        async move {
            let refused = world.configure("MutatingWebhookConfiguration", "", &change).await.unwrap_err();
            refused.to_string()
        }
    };
    for (change, field) in [
        (json!({ "name": "order" }), "webhooks[0].name"),
        (json!({ "sideEffects": "Some" }), "webhooks[0].sideEffects"),
        (json!({ "admissionReviewVersions": ["v2"] }), "webhooks[0].admissionReviewVersions"),
        (json!({ "timeoutSeconds": 31 }), "webhooks[0].timeoutSeconds"),
        (json!({ "clientConfig": {} }), "webhooks[0].clientConfig"),
        (json!({ "clientConfig": { "url": "https://localhost", "caBundle": "bm8=" } }), "clientConfig.caBundle"),
        (json!({ "matchConditions": [{ "name": "c", "expression": "object." }] }), "matchConditions[0].expression"),
    ] {
        let problem = refused(change).await;
        assert!(problem.contains("is invalid: ") && problem.contains(field), "{field}: {problem}");
    }
    let webhook = world.configure("MutatingWebhookConfiguration", "", &json!({})).await.unwrap();
    let webhook = &webhook.data["webhooks"][0];
    assert_eq!((&webhook["failurePolicy"], &webhook["namespaceSelector"]), (&json!("Fail"), &json!({})));
    assert_eq!(webhook["clientConfig"]["service"]["port"], 443);
}

#[tokio::test]
async fn pac_writes_through_webhooks_too() {
    let pac = PacPlayer { watcher: false, ..PacPlayer::default() };
    let options = pac_devcluster::Options {
        namespaces: vec!["ci".to_owned()],
        pac: Some(pac),
        ..pac_devcluster::Options::default()
    };
    let cluster = DevCluster::start(options).await.unwrap();
    let repository = json!({ "metadata": { "name": "repo" }, "spec": { "url": "https://e", "concurrency_limit": 1 } });
    cluster.store().create("repositories", "ci", repository).unwrap();
    let world = World { client: support::client(&cluster), cluster };
    let condition = "'pipelinesascode.tekton.dev/execution-order' in object.metadata.?annotations.orValue({})";
    let narrow = json!({
        "clientConfig": { "url": "https://127.0.0.1:1/" },
        "matchConditions": [{ "name": "order", "expression": condition }],
    });
    world.configure("MutatingWebhookConfiguration", "", &narrow).await.unwrap();
    let event = PacEvent::new("ci", "repo", [PacRun::new("one")]);
    let names = world.cluster.pac().unwrap().push(event).await.unwrap();
    let events = world.cluster.store().list("events", Some("ci"), "").unwrap();
    let said = events[0]["message"].as_str().unwrap();
    let start = format!("Failed to patch pipelineruns {} execution order: ", names[0]);
    assert!(said.starts_with(&start) && said.contains("connection refused"), "{said}");
    assert_eq!((events.len(), &events[0]["involvedObject"]["kind"]), (1, &json!("Repository")));
    let run = world.cluster.store().get("pipelineruns", "ci", &names[0]).unwrap();
    assert_eq!(run["metadata"]["labels"][support::STATE], "queued");
    assert!(run["metadata"]["annotations"]["pipelinesascode.tekton.dev/execution-order"].is_null());
}
