//! What is heard of a server, and when it may be relied on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, Client};
use pac_kube::list_watch::{Deaf, ListWatch, News};
use serde_json::{Value, json};

/// A server that has nothing. Its watches, from 0 on, are like this.
fn server(watch: fn(usize) -> UnsyncBoxBody<Bytes, Infallible>) -> Client {
    let watches = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: Request<Body>| {
        let body = match request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            false => text(&json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "5"}, "items": [],
            })),
            true => watch(watches.fetch_add(1, Ordering::Relaxed)),
        };
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    Client::new(service, "default")
}

fn text(object: &Value) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::new(Bytes::from(format!("{object}\n"))).boxed_unsync()
}

fn refusal(code: u16, message: &str) -> Value {
    json!({"type": "ERROR", "object": {
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Refused", "code": code, "message": message,
    }})
}

fn silence() -> UnsyncBoxBody<Bytes, Infallible> {
    StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync()
}

/// Says these, each so long after the one before, and then nothing any more.
fn says(words: Vec<(Duration, Value)>) -> UnsyncBoxBody<Bytes, Infallible> {
    let words = stream::iter(words).then(|(after, word)| async move {
        tokio::time::sleep(after).await; // on a paused clock
        Ok(Frame::data(Bytes::from(format!("{word}\n"))))
    });
    StreamBody::new(words.chain(stream::pending())).boxed_unsync()
}

fn comes() -> Value {
    json!({"type": "ADDED", "object": {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "namespace": "default", "resourceVersion": "6"},
    }})
}

/// What is heard until a watch is alive.
async fn heard(server: Client) -> Vec<&'static str> {
    let mut watch: ListWatch<ConfigMap> = ListWatch::new(Api::all(server));
    let mut heard = Vec::new();
    while !heard.ends_with(&["alive"]) {
        heard.push(match watch.next().await {
            Ok(News::ListBegan) => "a list begins",
            Ok(News::ListEnded) => "and ends",
            Ok(News::Applied(_)) => "one comes",
            Ok(News::Alive) => "alive",
            Ok(other) => panic!("{other:?}"),
            Err(Deaf::Broken(_)) => "broken",
            Err(Deaf::Failed(_)) => "silent",
        });
    }
    heard
}

/// It says so as an API server does, in a watch that it opens.
#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_go_on_is_not_alive_before_everything_was_listed_again() {
    let server = server(|number| match number {
        0 => text(&refusal(410, "too old resource version: 5 (9)")),
        _ => silence(),
    });
    assert_eq!(heard(server).await, ["a list begins", "and ends", "broken", "a list begins", "and ends", "alive"]);
}

/// That it is silent at first says nothing of what there was to tell meanwhile, which may be late.
#[tokio::test(start_paused = true)]
async fn a_watch_after_a_long_silence_is_not_alive_before_everything_was_listed_again() {
    let server = server(|number| match number {
        0 => says(vec![(Duration::ZERO, comes())]),
        _ => silence(),
    });
    let began = ["a list begins", "and ends", "one comes"];
    assert_eq!(heard(server).await, [&began[..], &["silent", "a list begins", "and ends", "alive"]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_broke_off_a_moment_ago_is_resumed() {
    let server = server(|number| match number {
        0 => says(vec![(Duration::ZERO, comes()), (Duration::from_secs(2), refusal(500, "a leader was elected"))]),
        _ => silence(),
    });
    assert_eq!(heard(server).await, ["a list begins", "and ends", "one comes", "broken", "alive"]);
}
