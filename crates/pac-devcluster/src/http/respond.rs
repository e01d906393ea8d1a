//! Answers and their bodies.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use serde_json::Value;

use crate::error::ApiError;

/// An answer's body; that of a watch has no end of its own.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Reply = Response<Body>;

pub(super) const JSON: &str = "application/json";

pub(super) fn error(error: &ApiError) -> Reply {
    let status = StatusCode::from_u16(error.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, &error.status())
}

pub(super) fn json(status: StatusCode, value: &Value) -> Reply {
    json_as(status, JSON, value)
}

pub(super) fn json_as(status: StatusCode, content_type: &str, value: &Value) -> Reply {
    reply(status, content_type, full(Bytes::from(value.to_string())))
}

pub(super) fn encoded(status: StatusCode, bytes: Bytes) -> Reply {
    reply(status, JSON, full(bytes))
}

pub(super) fn text(status: StatusCode, text: &'static str) -> Reply {
    reply(status, "text/plain; charset=utf-8", full(Bytes::from_static(text.as_bytes())))
}

/// A body that is sent piece by piece as it comes to be.
pub(super) fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Reply {
    let frames = pieces.map(|bytes| Ok::<_, Infallible>(Frame::data(bytes)));
    reply(StatusCode::OK, JSON, StreamBody::new(frames).boxed_unsync())
}

/// A body known already, but too big to be copied into one piece.
pub(super) fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Reply {
    stream(stream::iter(pieces))
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

fn reply(status: StatusCode, content_type: &str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    if let Ok(value) = header::HeaderValue::from_str(content_type) {
        reply.headers_mut().insert(header::CONTENT_TYPE, value);
    }
    reply
}
