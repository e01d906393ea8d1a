//! Whoever isn't the API server: what they get, and what they can't do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::time::Duration;

use pac_tls::{Check, client};
use pac_webhook::Lifetimes;
use support::{Replica, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

async fn served(world: &World) -> Replica {
    let replica = world.replica().await;
    world.lead(Lifetimes::default());
    world.have_certificates(&[&replica]).await;
    replica
}

async fn connect(replica: &Replica) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(replica.webhook.address()).await.unwrap();
    let config = client(Check::Nothing, None, None).unwrap().config;
    TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// The status of the answer to a request with this head, and as much of a body as it says.
async fn status(replica: &Replica, head: &str, body: &[u8]) -> u16 {
    let mut stream = connect(replica).await;
    let head = format!("{head}\r\nHost: webhook\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    // It may hang up before it has read it all.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_review_is_refused() {
    let world = World::new(1).await;
    let replica = served(&world).await;
    let json = "Content-Type: application/json";
    let post = |path: &str| format!("POST {path} HTTP/1.1\r\n{json}");
    assert_eq!(status(&replica, &post("/"), b"{}").await, 404);
    assert_eq!(status(&replica, "GET /execution-order HTTP/1.1", b"").await, 405);
    assert_eq!(status(&replica, "POST /execution-order HTTP/1.1", b"{}").await, 415);
    assert_eq!(status(&replica, &post("/execution-order"), b"{}").await, 400);
    assert_eq!(status(&replica, &post("/execution-order"), &vec![b' '; 9 << 20]).await, 413);
    let review = br#"{"request": {"uid": "u", "operation": "CREATE"}}"#;
    assert_eq!(status(&replica, &post("/execution-order"), review).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_keeps_nobody_out() {
    let world = World::new(1).await;
    let replica = served(&world).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(replica.webhook.address()).await.unwrap());
    }
    world.behind_service(&[&replica]);
    world.works().await;
    let mut without_handshake = silent.remove(0);
    let mut without_request = connect(&replica).await;
    for ended in [
        tokio::time::timeout(Duration::from_secs(30), without_handshake.read(&mut [0])).await.is_ok(),
        tokio::time::timeout(Duration::from_secs(30), without_request.read(&mut [0])).await.is_ok(),
    ] {
        assert!(ended, "who says nothing is waited for no longer than this");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_a_certificate_nobody_gets_in() {
    let world = World::new(1).await;
    let replica = world.replica().await;
    let stream = TcpStream::connect(replica.webhook.address()).await.unwrap();
    let config = client(Check::Nothing, None, None).unwrap().config;
    TlsConnector::from(config).connect("localhost".try_into().unwrap(), stream).await.unwrap_err();
}
