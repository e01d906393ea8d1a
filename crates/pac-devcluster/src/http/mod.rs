//! The listener, its connections, and where a request goes.

mod body;
mod dev;
mod port_forward;
mod read;
mod respond;
mod review;
mod scale;
mod target;
mod write;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub use self::respond::Body;
use self::{
    respond::Reply,
    target::{Query, Target},
};
use crate::{
    Options,
    access::Access,
    discovery,
    error::ApiError,
    faults::{FaultAction, Faults, Struck},
    openapi,
    pac::Pac,
    store::Store,
    writer::Writer,
};

/// All that handling a request needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) access: Access,
    pub(crate) faults: Faults,
    pub(crate) pac: Option<Pac>,
    pub(crate) applied: write::Applied,
    pub(crate) writer: Writer,
}

/// A request, read to its end.
#[derive(Debug)]
struct Call {
    method: Method,
    path: String,
    query: Query,
    content_type: String,
    accept: String,
    /// The bearer token.
    caller: String,
    body: Bytes,
}

/// The connection is dropped without an answer, as a rule of [`Faults`] has it.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
pub struct Dropped;

/// Accepts connections until told to stop, then ends them all.
pub(crate) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut connections = JoinSet::new();
    let mut control = server.faults.control();
    loop {
        tokio::select! {
            stopped = control.wait_for(|control| control.stopped) => {
                drop(stopped);
                break;
            }
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, Arc::clone(&server)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, server: Arc<Server>) {
    let mut control = server.faults.control();
    let (refused, outages) = {
        let control = control.borrow();
        (control.refused, control.outages)
    };
    if refused {
        return;
    }
    // A watch event is one small write; it mustn't wait for the next.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(&server), request));
    let connection =
        http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::select! {
        // A connection that breaks is the client's to deal with.
        _ = connection => {}
        _ = control.wait_for(|control| control.outages != outages || control.stopped) => {}
    }
}

async fn answer(server: Arc<Server>, mut request: Request<Incoming>) -> Result<Response<respond::Body>, Dropped> {
    if let Some(pod) = port_forward::pod(request.uri().path()) {
        return Ok(port_forward::answer(&server, &pod, &mut request));
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    server.answer(Request::from_parts(head, body)).await
}

// === impl Call ===

impl Call {
    fn read(request: Request<Bytes>) -> Self {
        let (head, body) = request.into_parts();
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (content_type, accept) = (text(header::CONTENT_TYPE), text(header::ACCEPT));
        let caller = text(header::AUTHORIZATION).strip_prefix("Bearer ").unwrap_or_default().to_owned();
        Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: Query::parse(head.uri.query().unwrap_or_default()),
            content_type,
            accept,
            caller,
            body,
        }
    }

    fn verb(&self, target: &Target) -> &'static str {
        let collection = target.name.is_none();
        match self.method.as_str() {
            "GET" if self.query.flag("watch") => "watch",
            "GET" if collection => "list",
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" if collection => "deletecollection",
            "DELETE" => "delete",
            _ => "other",
        }
    }
}

// === impl Server ===

impl Server {
    /// The answer to a request that is there whole.
    pub(crate) async fn answer(&self, request: Request<Bytes>) -> Result<Response<respond::Body>, Dropped> {
        let call = Call::read(request);
        Ok(Box::pin(self.handle(&call)).await?.unwrap_or_else(|error| respond::error(&error)))
    }

    async fn handle(&self, call: &Call) -> Result<Result<Reply, ApiError>, Dropped> {
        let Some(target) = Target::parse(&call.path, self.options.kubernetes) else {
            let pac = self.pac.as_ref().filter(|_| call.path == "/_dev/pac" && call.method == Method::POST);
            return Ok(Ok(match pac {
                Some(pac) => dev::tell_pac(pac, call).await,
                None => self.without_resource(call),
            }));
        };
        let verb = call.verb(&target);
        let in_body;
        let name = match &target.name {
            Some(name) => name.as_str(),
            None if verb == "create" => {
                in_body = body::name_in(call);
                &in_body
            }
            None => "",
        };
        let (method, resource) = (call.method.as_str(), target.resource.plural);
        let struck = Struck { method, verb, resource, name, caller: &call.caller };
        match self.faults.strike(&struck) {
            None => Ok(self.dispatch(call, &target, verb).await),
            Some(FaultAction::Latency(time)) => {
                tokio::time::sleep(time).await;
                Ok(self.dispatch(call, &target, verb).await)
            }
            Some(FaultAction::Error { status, reason, message }) => Ok(Err(ApiError::new(status, &reason, message))),
            Some(FaultAction::DropBefore) => Err(Dropped),
            Some(FaultAction::DropAfter) => {
                drop(self.dispatch(call, &target, verb).await);
                Err(Dropped)
            }
            Some(FaultAction::NeverAnswer) => std::future::pending().await,
        }
    }

    async fn dispatch(&self, call: &Call, target: &Target, verb: &str) -> Result<Reply, ApiError> {
        match verb {
            verb if target.scale => self.scale(call, target, verb),
            "create" if target.token => self.token(call, target),
            "create" if target.resource.review => self.review(call, target),
            _ if target.token || target.resource.review => Err(ApiError::method_not_allowed()),
            "get" => self.get(call, target),
            "list" => self.list(call, target),
            "watch" => self.watch(call, target),
            "create" => self.create(call, target).await,
            "update" => self.update(call, target).await,
            "patch" => self.patch(call, target).await,
            "delete" => self.delete(call, target),
            "deletecollection" => self.delete_collection(call, target),
            _ => Err(ApiError::method_not_allowed()),
        }
    }

    fn without_resource(&self, call: &Call) -> Reply {
        if call.path.starts_with("/_dev/") {
            return self.dev(call);
        }
        if call.method != Method::GET {
            return respond::error(&ApiError::method_not_allowed());
        }
        match call.path.trim_end_matches('/') {
            "/healthz" | "/readyz" | "/livez" => respond::text(StatusCode::OK, "ok"),
            path => discovery::document(path, &call.accept, self.address, self.options.kubernetes)
                .or_else(|| openapi::document(path, self.options.kubernetes).map(|value| (value, respond::JSON)))
                .map_or_else(
                    || respond::text(StatusCode::NOT_FOUND, "404 page not found\n"),
                    |(value, content_type)| respond::json_as(StatusCode::OK, content_type, &value),
                ),
        }
    }
}
