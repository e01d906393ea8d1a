//! `kubectl port-forward`, as clients speak it over a WebSocket: `GET …/pods/NAME/portforward?ports=N`.
//!
//! Pods run nowhere here: the port of a pod is that of this machine's loopback. Of the port there are two channels, told
//! apart by a message's first byte: 0 has the bytes, 1 what went wrong. Each begins with the port's number.

use std::net::Ipv4Addr;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::target::Query;
use super::{Reply, Server, respond};
use crate::{error::ApiError, resource};

const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERRORS: u8 = 1;

/// The pod (namespace and name) whose port a path asks for.
pub(super) fn pod(path: &str) -> Option<(String, String)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let ["api", "v1", "namespaces", namespace, "pods", pod, "portforward"] = parts[..] else { return None };
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((plain(namespace), plain(pod)))
}

/// Answers a request for the port of `pod`, and forwards it from then on.
pub(super) fn answer(server: &Server, (namespace, pod): &(String, String), request: &mut Request<Incoming>) -> Reply {
    match accept(server, namespace, pod, request) {
        Ok((port, key)) => {
            tokio::spawn(forward(hyper::upgrade::on(request), port));
            switch(&key)
        }
        Err(error) => respond::error(&error),
    }
}

fn accept(server: &Server, namespace: &str, pod: &str, request: &Request<Incoming>) -> Result<(u16, String), ApiError> {
    let pods = resource::by_plural("pods").ok_or_else(ApiError::method_not_allowed)?;
    if server.store.get_stored(pods, namespace, pod).is_none() {
        return Err(ApiError::not_found(pods, pod));
    }
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let port = query.get("ports").and_then(|ports| ports.parse().ok());
    let port = port.ok_or_else(|| ApiError::bad_request("query parameter \"ports\" must be one port here"))?;
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let key = key.ok_or_else(|| ApiError::bad_request("Upgrade request required"))?;
    Ok((port, key.to_owned()))
}

fn switch(key: &str) -> Reply {
    let mut reply = respond::text(StatusCode::SWITCHING_PROTOCOLS, "");
    let accepted = derive_accept_key(key.as_bytes());
    let values = [
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL),
        (header::SEC_WEBSOCKET_ACCEPT, accepted.as_str()),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(value) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

async fn forward(upgrade: OnUpgrade, port: u16) {
    let Ok(upgraded) = upgrade.await else { return };
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    // Whichever side is gone, nothing is left to forward.
    let _ = exchange(socket, port).await;
}

async fn exchange(mut socket: WebSocketStream<TokioIo<Upgraded>>, port: u16) -> Result<(), Error> {
    let message = |channel: u8, bytes: &[u8]| Message::Binary(Bytes::from([&[channel], bytes].concat()));
    for channel in [DATA, ERRORS] {
        socket.send(message(channel, &port.to_le_bytes())).await?;
    }
    let mut stream = match TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        Ok(stream) => stream,
        Err(error) => {
            let why = format!("an error occurred forwarding {port}: {error}");
            socket.send(message(ERRORS, why.as_bytes())).await?;
            return socket.close(None).await;
        }
    };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return socket.close(None).await,
                Ok(count) => socket.send(message(DATA, &buffer[..count])).await?,
            },
            received = socket.next() => match received {
                Some(Ok(Message::Binary(bytes))) => {
                    if let Some((&DATA, bytes)) = bytes.split_first() {
                        stream.write_all(bytes).await?;
                    }
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(received) => drop(received?),
            },
        }
    }
}
