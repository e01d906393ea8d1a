//! The webhook behind an API server that calls it: at work, away, slow, with another certificate, and while replicas change.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use pac_kube::api::labels::{EXECUTION_ORDER, HANDED_BACK};
use pac_webhook::{Lifetimes, NAME};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;

use support::{PLACE, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A Secret's data as cert-manager writes it, with a certificate that expires then.
fn by_others(not_after: SystemTime) -> serde_json::Value {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![format!("{NAME}.{PLACE}.svc")]).unwrap();
    params.not_after = not_after.into();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let encode = |text: String| STANDARD.encode(text);
    json!({
        "tls.crt": encode(certificate.pem()), "tls.key": encode(key.serialize_pem()), "ca.crt": encode(authority.pem()),
    })
}

fn names(runs: &[std::sync::Arc<serde_json::Value>]) -> BTreeSet<String> {
    runs.iter().map(|run| run["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pacs_orders_are_renamed_and_what_is_handed_back_is_not() {
    let world = World::new(2).await;
    let (one, other) = (world.replica().await, world.replica().await);
    world.behind_service(&[&one, &other]);
    world.lead(Lifetimes::default());
    world.works().await;
    world.have_certificates(&[&one, &other]).await;
    let runs = world.push(8).await;
    let [pacs, kept] = world.orders_of(&runs);
    assert_eq!((pacs, kept), (BTreeSet::new(), names(&runs)));
    let name = runs[0]["metadata"]["name"].as_str().unwrap();
    let api: kube::Api<kube::api::DynamicObject> = kube::Api::namespaced_with(
        world.client.clone(),
        "ci",
        &kube::core::ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("tekton.dev", "v1", "PipelineRun")),
    );
    let back =
        json!({ "metadata": { "annotations": { EXECUTION_ORDER: "ci/x", HANDED_BACK: "2026-01-01T00:00:00Z" } } });
    let run = api.patch(name, &Default::default(), &kube::api::Patch::Merge(back)).await.unwrap();
    assert_eq!(run.metadata.annotations.unwrap()[EXECUTION_ORDER], "ci/x");
    for replica in [&one, &other] {
        let left = replica.webhook.expires().unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((DAY * 89..DAY * 91).contains(&left));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_away_orders_alone_are_lost_and_afterwards_none() {
    let world = World::new(1).await;
    let replica = world.replica().await;
    world.behind_service(&[&replica]);
    world.lead(Lifetimes::default());
    world.works().await;
    replica.stop();
    world.eventually("it is away", || async { world.orders_of(&world.push(1).await)[1].is_empty() }).await;
    let [pacs, kept] = world.orders_of(&world.push(12).await);
    assert_eq!((pacs, kept), (BTreeSet::new(), BTreeSet::new()));
    let back = world.replica().await;
    world.behind_service(&[&back]);
    world.works().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_slow_a_write_waits_no_longer_than_its_time() {
    let world = World::new(1).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.cluster.store().serve_service(PLACE, NAME, &[silent.local_addr().unwrap()]);
    let begun = std::time::Instant::now();
    let [pacs, kept] = world.orders_of(&world.push(12).await);
    assert_eq!((pacs, kept), (BTreeSet::new(), BTreeSet::new()));
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&begun.elapsed()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_somebody_else_keeps_is_used_as_it_is() {
    let world = World::new(2).await;
    let secret = json!({
        "metadata": { "name": NAME }, "type": "kubernetes.io/tls", "data": by_others(SystemTime::now() - DAY),
    });
    world.cluster.store().delete("secrets", PLACE, NAME).unwrap();
    world.cluster.store().create("secrets", PLACE, secret).unwrap();
    let replica = world.replica().await;
    world.behind_service(&[&replica]);
    world.lead(Lifetimes::default());
    let authority = world.secret()["data"]["ca.crt"].as_str().unwrap().to_owned();
    world.eventually("its authority is trusted", || async { world.bundle() == authority }).await;
    world.eventually("it is taken up", || async { replica.webhook.expires().is_some() }).await;
    let [pacs, kept] = world.orders_of(&world.push(2).await);
    assert_eq!((pacs, kept), (BTreeSet::new(), BTreeSet::new()), "it has expired");
    let renewed = by_others(SystemTime::now() + DAY);
    world.cluster.store().patch("secrets", PLACE, NAME, &json!({ "data": renewed })).unwrap();
    world.works().await;
    assert_eq!(world.secret()["data"], renewed, "nobody else writes it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_at_work_and_nothing_is_lost() {
    let world = World::new(2).await;
    let (one, other) = (world.replica().await, world.replica().await);
    world.behind_service(&[&one, &other]);
    // With what clocks may differ by, it is due after two seconds.
    world.lead(Lifetimes { authority: DAY * 3650, certificate: Duration::from_secs(153) });
    world.works().await;
    world.have_certificates(&[&one, &other]).await;
    let first = [&one, &other].map(|replica| replica.webhook.expires().unwrap());
    let mut pushed = 0;
    while [&one, &other]
        .map(|replica| replica.webhook.expires().unwrap())
        .iter()
        .zip(first)
        .any(|(now, then)| *now == then)
    {
        let runs = world.push(2).await;
        assert_eq!(world.orders_of(&runs)[1], names(&runs));
        pushed += 1;
        assert!(pushed < 2000, "it isn't renewed");
    }
    let runs = world.push(2).await;
    assert_eq!(world.orders_of(&runs)[1], names(&runs));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_replaced_at_work_and_nothing_is_lost() {
    let world = World::new(2).await;
    let (one, other) = (world.replica().await, world.replica().await);
    world.behind_service(&[&one, &other]);
    let lifetimes = |authority: u64| Lifetimes { authority: Duration::from_secs(authority), certificate: DAY };
    world.lead(lifetimes(153));
    world.works().await;
    world.have_certificates(&[&one, &other]).await;
    let first = world.bundle();
    let (mut pushed, mut bundles) = (0, BTreeSet::from([first.clone()]));
    let expires = || [&one, &other].map(|replica| replica.webhook.expires().unwrap());
    let then = expires();
    while expires().iter().zip(then).any(|(now, then)| *now == then) {
        let runs = world.push(2).await;
        assert_eq!(world.orders_of(&runs)[1], names(&runs));
        bundles.insert(world.bundle());
        pushed += 1;
        assert!(pushed < 2000, "it isn't replaced");
    }
    let first = String::from_utf8(STANDARD.decode(first).unwrap()).unwrap();
    let both = bundles.iter().map(|bundle| String::from_utf8(STANDARD.decode(bundle).unwrap()).unwrap());
    assert!(both.into_iter().any(|bundle| bundle.len() > first.len() && bundle.ends_with(&first)), "both were trusted");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_come_and_go_and_no_order_is_lost() {
    let world = World::new(2).await;
    let mut replicas = vec![world.replica().await, world.replica().await];
    world.behind_service(&replicas.iter().collect::<Vec<_>>());
    world.lead(Lifetimes::default());
    world.works().await;
    world.have_certificates(&replicas.iter().collect::<Vec<_>>()).await;
    for _ in 0..4 {
        let new = world.replica().await;
        world.have_certificates(&[&new]).await;
        let old = replicas.remove(0);
        replicas.push(new);
        let before = world.push(4);
        world.behind_service(&replicas.iter().collect::<Vec<_>>());
        let runs = before.await;
        assert_eq!(world.orders_of(&runs)[1], names(&runs));
        // By now the API server has heard that it is gone.
        drop(old);
        let runs = world.push(4).await;
        assert_eq!(world.orders_of(&runs)[1], names(&runs));
    }
}
