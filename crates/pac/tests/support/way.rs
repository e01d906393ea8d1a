//! Ways to an API server as real clusters have them: TLS by an authority of its own, and a proxy that must be gone through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener as AsyncListener, TcpStream as AsyncStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// TLS in front of what listens on 127.0.0.1.
pub(crate) struct TlsFront {
    pub(crate) address: SocketAddr,
    /// PEM in base64, as a kubeconfig has it.
    pub(crate) authority: String,
    _runtime: Runtime,
}

/// An HTTP proxy that connects whoever asks to `target`, whatever name was asked for; nobody else can resolve that name.
pub(crate) struct ConnectProxy {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

// === impl TlsFront ===

impl TlsFront {
    /// Listens at `address`, with a certificate for `name`.
    pub(crate) fn start(address: &str, name: &str, server: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (authority, config) = certificate(name);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = runtime.block_on(AsyncListener::bind(address)).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // A client that doesn't trust us is gone by then.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let Ok(mut upstream) = AsyncStream::connect(("127.0.0.1", server)).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                });
            }
        });
        Self { address, authority, _runtime: runtime }
    }
}

/// An authority in PEM and base64, and a server's configuration with a certificate by it.
fn certificate(name: &str) -> (String, ServerConfig) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = builder.with_single_cert(vec![leaf.der().clone()], key).unwrap();
    (STANDARD.encode(authority.pem()), config)
}

// === impl ConnectProxy ===

impl ConnectProxy {
    /// It wants these credentials, in base64.
    pub(crate) fn start(target: SocketAddr, credentials: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A connection that breaks is the client's to deal with.
                thread::spawn(move || drop(pass(&client, target, credentials, &shared)));
            }
        });
        Self { port, asked }
    }

    /// The first line of every request so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn pass(client: &TcpStream, target: SocketAddr, credentials: &str, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    // A client sends nothing more before it is answered.
    for line in BufReader::new(client.try_clone()?).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        head.push(line);
    }
    asked.lock().unwrap().extend(head.first().cloned());
    let wanted = format!("proxy-authorization: basic {}", credentials.to_lowercase());
    let mut out = client;
    if !head.iter().any(|line| line.to_lowercase() == wanted) {
        return out.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n");
    }
    let upstream = TcpStream::connect(target)?;
    out.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (from, to) = (client.try_clone()?, upstream.try_clone()?);
    let forth = thread::spawn(move || copy(&from, &to));
    copy(&upstream, client);
    let _ = forth.join();
    Ok(())
}

/// Until either side ends, which ends the other.
fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    for side in [from, to] {
        let _ = side.shutdown(Shutdown::Both);
    }
}
