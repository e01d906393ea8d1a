//! What is heard of a server, and when it may be relied on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use kube::{Api, Client};
use pac_kube::list_watch::{Deaf, ListWatch, News};
use serde_json::{Value, json};

/// A server whose first watch can't go on from where it is asked to: it says so as an API server does, in a watch that it opens. The
/// second one is silent.
fn compacted() -> Client {
    let watches = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: Request<Body>| {
        let watches = Arc::clone(&watches);
        let body = match request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            false => text(&json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "5"}, "items": [],
            })),
            true if watches.fetch_add(1, Ordering::Relaxed) == 0 => text(&json!({"type": "ERROR", "object": {
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410,
                "message": "too old resource version: 5 (9)",
            }})),
            true => StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed_unsync(),
        };
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    Client::new(service, "default")
}

fn text(object: &Value) -> UnsyncBoxBody<Bytes, Infallible> {
    Full::new(Bytes::from(format!("{object}\n"))).boxed_unsync()
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_cannot_go_on_is_not_alive_before_everything_was_listed_again() {
    let mut watch: ListWatch<ConfigMap> = ListWatch::new(Api::all(compacted()));
    let mut heard = Vec::new();
    while !heard.ends_with(&["alive"]) {
        heard.push(match watch.next().await {
            Ok(News::ListBegan) => "a list begins",
            Ok(News::ListEnded) => "and ends",
            Ok(News::Alive) => "alive",
            Ok(other) => panic!("{other:?}"),
            Err(Deaf::Broken(_)) => "broken",
            Err(Deaf::Failed(why)) => panic!("{why}"),
        });
    }
    assert_eq!(heard, ["a list begins", "and ends", "broken", "a list begins", "and ends", "alive"]);
}
