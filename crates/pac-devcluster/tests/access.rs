//! Who calls, and what they may do: asked by the kube client and by kubectl, as of a real API server.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::process::Command;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Config};
use pac_devcluster::DevCluster;
use serde_json::{Value, json};
use support::{client, cluster};

const HOUR: Duration = Duration::from_secs(3600);

async fn review(client: &Client, token: &str, audiences: &[&str]) -> TokenReviewStatus {
    let audiences = (!audiences.is_empty()).then(|| audiences.iter().map(ToString::to_string).collect());
    let spec = TokenReviewSpec { token: token.to_owned(), audiences };
    let review = TokenReview { spec, ..TokenReview::default() };
    Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap().status.unwrap()
}

/// Whether somebody of these groups may do it, and why.
async fn may(client: &Client, user: &str, groups: &[&str], verb: &str, namespace: &str) -> (bool, String) {
    let what = ResourceAttributes {
        verb: Some(verb.to_owned()),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        group: Some("tekton.dev".to_owned()),
        resource: Some("pipelineruns".to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SubjectAccessReviewSpec {
        user: Some(user.to_owned()),
        groups: Some(groups.iter().map(ToString::to_string).collect()),
        resource_attributes: Some(what),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let status = Api::all(client.clone()).create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    (status.allowed, status.reason.unwrap_or_default())
}

fn grant(cluster: &DevCluster, kind: &str, namespace: &str, role: &str, subject: &Value) {
    let plural = if kind == "Role" || !namespace.is_empty() { "rolebindings" } else { "clusterrolebindings" };
    let binding = json!({
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    });
    cluster.store().create(plural, namespace, binding).unwrap();
}

#[tokio::test]
async fn a_token_is_good_for_its_audience_while_it_lasts_and_its_account_is_there() {
    let cluster = cluster().await;
    let client = client(&cluster);
    let account = cluster.store().create("serviceaccounts", "ci", json!({"metadata": {"name": "bot"}})).unwrap();
    let token = |audiences: &[&str], lasts| {
        let audiences: Vec<String> = audiences.iter().map(ToString::to_string).collect();
        cluster.access().token_of_account("ci", "bot", &audiences, lasts).unwrap()
    };
    let ours = token(&["ours", "others"], HOUR);
    let known = review(&client, &ours, &["ours", "theirs"]).await;
    assert_eq!((known.authenticated, known.audiences), (Some(true), Some(vec!["ours".to_owned()])));
    let user = known.user.unwrap();
    assert_eq!(user.username.as_deref(), Some("system:serviceaccount:ci:bot"));
    assert_eq!(user.uid.as_deref(), account.pointer("/metadata/uid").and_then(Value::as_str));
    let groups = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:ci"];
    assert_eq!(user.groups.unwrap(), groups);

    let why = |status: TokenReviewStatus| {
        assert_eq!((status.authenticated, status.audiences), (None, None));
        status.error.unwrap()
    };
    let other = why(review(&client, &ours, &["theirs"]).await);
    assert!(
        other.contains(r#"token audiences ["ours" "others"] is invalid for the target audiences ["theirs"]"#),
        "{other}"
    );
    // Without an audience the API server's own is meant, on both sides.
    assert!(why(review(&client, &ours, &[]).await).contains("kubernetes.default"));
    assert_eq!(review(&client, &token(&[], HOUR), &[]).await.authenticated, Some(true));
    let person = cluster.access().token_of_user("alice", &["devs"], HOUR);
    assert_eq!(review(&client, &person, &[]).await.user.unwrap().username.as_deref(), Some("alice"));
    assert!(why(review(&client, &person, &["ours"]).await).contains("audiences"));

    assert!(why(review(&client, &token(&["ours"], Duration::ZERO), &["ours"]).await).contains("expired"));
    assert_eq!(why(review(&client, "made-up", &["ours"]).await), "invalid bearer token");
    cluster.store().delete("serviceaccounts", "ci", "bot").unwrap();
    assert!(why(review(&client, &ours, &["ours"]).await).contains("invalidated"));
    // Its namesake is somebody else.
    cluster.store().create("serviceaccounts", "ci", json!({"metadata": {"name": "bot"}})).unwrap();
    assert!(why(review(&client, &ours, &["ours"]).await).contains("invalidated"));
}

#[tokio::test]
async fn roles_and_bindings_say_who_may_do_what_and_where() {
    let cluster = cluster().await;
    let client = client(&cluster);
    let rule = |verbs: &[&str]| json!([{"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": verbs}]);
    let create = |plural, namespace, object| cluster.store().create(plural, namespace, object).unwrap();
    create("roles", "ci", json!({"metadata": {"name": "one"}, "rules": rule(&["get"])}));
    grant(&cluster, "Role", "ci", "one", &json!({"kind": "User", "name": "alice"}));
    assert_eq!(
        may(&client, "alice", &[], "get", "ci").await,
        (true, r#"RBAC: allowed by RoleBinding "one/ci" of Role "one" to User "alice""#.to_owned())
    );
    for (user, verb, namespace) in
        [("alice", "get", "default"), ("alice", "get", ""), ("alice", "list", "ci"), ("bob", "get", "ci")]
    {
        assert_eq!(may(&client, user, &[], verb, namespace).await, (false, String::new()), "{user} {verb} {namespace}");
    }

    // A ClusterRole that others are aggregated into, bound in one namespace, and everywhere.
    let selector = json!({"clusterRoleSelectors": [{"matchLabels": {"aggregate-to-view": "true"}}]});
    create("clusterroles", "", json!({"metadata": {"name": "view"}, "aggregationRule": selector}));
    let labels = json!({"aggregate-to-view": "true"});
    create("clusterroles", "", json!({"metadata": {"name": "more", "labels": labels}, "rules": rule(&["*"])}));
    grant(&cluster, "ClusterRole", "ci", "view", &json!({"kind": "Group", "name": "devs"}));
    assert!(may(&client, "bob", &["devs"], "list", "ci").await.0);
    assert!(!may(&client, "bob", &["devs"], "list", "").await.0);
    grant(&cluster, "ClusterRole", "", "view", &json!({"kind": "ServiceAccount", "name": "ops", "namespace": "ci"}));
    let ops = "system:serviceaccount:ci:ops";
    assert!(may(&client, ops, &[], "list", "").await.0 && may(&client, ops, &[], "get", "default").await.0);
    assert!(!may(&client, "system:serviceaccount:default:ops", &[], "list", "").await.0);
    assert!(may(&client, "root", &["system:masters"], "delete", "").await.0);

    let nobody = SubjectAccessReview::default();
    let refused = Api::<SubjectAccessReview>::all(client).create(&PostParams::default(), &nobody).await.unwrap_err();
    assert!(refused.to_string().contains("at least one of user or group must be specified"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_a_token_and_asks_what_it_may() {
    let cluster = cluster().await;
    cluster.store().create("serviceaccounts", "ci", json!({"metadata": {"name": "bot"}})).unwrap();
    let rules = json!([{"apiGroups": ["tekton.dev"], "resources": ["pipelineruns"], "verbs": ["get"]}]);
    cluster.store().create("roles", "ci", json!({"metadata": {"name": "bot"}, "rules": rules})).unwrap();
    grant(&cluster, "Role", "ci", "bot", &json!({"kind": "ServiceAccount", "name": "bot", "namespace": "ci"}));
    let url = cluster.url();
    let kubectl = |arguments: &[&str]| {
        let output = Command::new("kubectl").env_remove("KUBECONFIG").args(["--server", &url]).args(arguments).output();
        let output = output.unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned())
    };
    let (made, token) = kubectl(&["create", "token", "bot", "--namespace=ci", "--audience=ours"]);
    assert!(made, "{token}");
    assert_eq!(review(&client(&cluster), &token, &["ours"]).await.authenticated, Some(true));
    let (made, why) = kubectl(&["create", "token", "nobody", "--namespace=ci"]);
    assert!(!made && why.contains(r#"serviceaccounts "nobody" not found"#), "{why}");
    let (made, why) = kubectl(&["create", "token", "bot", "--namespace=ci", "--duration=1m"]);
    assert!(!made && why.contains("10 minutes"), "{why}");

    let (_, token) = kubectl(&["create", "token", "bot", "--namespace=ci"]);
    // Over plain HTTP kubectl shows no token.
    assert_eq!(kubectl(&["auth", "can-i", "get", "pipelineruns", "--namespace=ci"]).1, "yes");
    let mut config = Config::new(url.parse().unwrap());
    config.auth_info.token = Some(token.into());
    let bot = Client::try_from(config).unwrap();
    for (namespace, may) in [("ci", true), ("default", false)] {
        let what = json!({"verb": "get", "group": "tekton.dev", "resource": "pipelineruns", "namespace": namespace});
        let review = serde_json::from_value(json!({"metadata": {}, "spec": {"resourceAttributes": what}})).unwrap();
        let asked = Api::<SelfSubjectAccessReview>::all(bot.clone()).create(&PostParams::default(), &review).await;
        assert_eq!(asked.unwrap().status.unwrap().allowed, may, "{namespace}");
    }
}
