//! A webhook for the tests, over TLS, with a certificate of its own making.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

/// What it answers to a request.
pub(crate) type Answer = dyn Fn(&Value) -> Value + Send + Sync;

/// It stops when dropped, and takes its connections with it.
pub(crate) struct Webhook {
    pub(crate) address: SocketAddr,
    /// For `caBundle`.
    pub(crate) authority: String,
    asked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

/// For how long its certificate is valid, from now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Today,
    Yesterday,
}

impl Webhook {
    /// One whose certificate is for `name`.
    pub(crate) async fn start(name: &str, validity: Validity, answer: Box<Answer>) -> Self {
        let (authority, config) = certificate(name, validity);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let (counted, mut serving) = (Arc::clone(&asked), JoinSet::new());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, answer, counted) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&counted));
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request: Request<Incoming>| {
                        let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                        async move {
                            counted.fetch_add(1, Ordering::Relaxed);
                            let body = request.into_body().collect().await?.to_bytes();
                            let review: Value = serde_json::from_slice(&body).unwrap();
                            let body = reviewed(&review, answer(&review["request"]));
                            Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::from(body.to_string()))))
                        }
                    });
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, authority, asked, _serving: serving }
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn reviewed(review: &Value, mut response: Value) -> Value {
    if response["uid"].is_null() {
        response["uid"] = review["request"]["uid"].clone();
    }
    json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response })
}

/// A response with a patch.
pub(crate) fn patched(operations: &Value) -> Value {
    json!({ "allowed": true, "patchType": "JSONPatch", "patch": STANDARD.encode(operations.to_string()) })
}

/// An authority in base64, and what a server needs that it vouches for.
fn certificate(name: &str, validity: Validity) -> (String, ServerConfig) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let leaf_key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if validity == Validity::Yesterday {
        leaf.not_after = (SystemTime::now() - Duration::from_secs(24 * 60 * 60)).into();
    }
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let private = PrivateKeyDer::try_from(leaf_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], private)
        .unwrap();
    (STANDARD.encode(authority.pem()), config)
}
