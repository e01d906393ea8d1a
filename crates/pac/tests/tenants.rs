//! The port for tenants of the program itself: over TLS, with a certificate that is replaced while it is served.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pac_devservers::free_port;
use pac_tls::{Check, client};
use serde_json::json;
use support::tenants::Shown;
use support::{Scrape, World, command, eventually, said};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The two files, in the folder of the test.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

// === impl Files ===

impl Files {
    fn of(folder: &Path) -> Self {
        Self { certificate: folder.join("tls.crt"), key: folder.join("tls.key") }
    }

    fn have(&self, shown: &Shown) {
        shown.write(&self.certificate, &self.key);
    }
}

/// Status and body, of a server that shows this certificate; none of another one.
async fn get(port: u16, shown: &Shown, token: &str, path: &str) -> Option<(u16, String)> {
    let trusted = client(Check::AuthorityAndName, Some(shown.certificate.as_bytes()), None).unwrap().config;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let name = "queues.example.com".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::clone(&trusted)).connect(name, stream).await.ok()?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: queues.example.com\r\nAuthorization: Bearer {token}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

#[test]
fn the_certificate_is_that_of_the_files_and_a_new_one_is_taken_up() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    world.work(1, 3, 1);
    let token = world.tenant(Some("ours"));

    let (port, files) = (free_port().unwrap(), Files::of(world.folder.path()));
    let (address, path) = (format!("0.0.0.0:{port}"), |file: &Path| file.to_str().unwrap().to_owned());
    let (certificate, key) = (path(&files.certificate), path(&files.key));
    let flags = ["--tenants-addr", &address, "--tenants-tls-cert", &certificate, "--tenants-tls-key", &key];
    let mut watcher = world.watcher_with("watcher", &[&flags[..], &["--tenants-audience", "ours"]].concat());
    watcher.becomes_ready(true);
    assert!(watcher.log().contains("has no certificate to take up"), "{}", watcher.log());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |shown: &Shown, path: &str| runtime.block_on(get(port, shown, &token, path));
    let own = "/queue?namespace=team-0";
    let (first, second) = (Shown::of(&["queues.example.com"]), Shown::of(&["queues.example.com"]));
    assert_eq!(ask(&first, own), None, "there is no certificate yet");
    let remaining = || Scrape::of(&watcher).value("pac_concurrency_tenant_certificate_remaining_seconds", &[]).unwrap();
    assert_eq!(remaining(), 0.0);
    files.have(&first);
    eventually("it is served", || ask(&first, own).is_some_and(|(status, _)| status == 200));
    assert!(remaining() > 86_400.0, "{}", remaining());
    let (_, body) = ask(&first, own).unwrap();
    assert!(body.contains("team-0/repo-0"), "{body}");
    assert_eq!(ask(&second, own), None);

    // One file after the other, as it may be read.
    std::fs::write(&files.certificate, &second.certificate).unwrap();
    eventually("it is noticed", || watcher.log().contains("can't be used together"));
    assert!(ask(&first, own).is_some());
    files.have(&second);
    eventually("the new one is served", || ask(&second, own).is_some());
    assert_eq!(ask(&first, own), None);
    // Nobody is served without TLS.
    assert!(!support::Watcher::get(port, own).contains("team-0"));

    assert_eq!(ask(&second, "/queue?namespace=team-1").unwrap().0, 403);
    let scrape = Scrape::of(&watcher);
    let requests = |code: &str| scrape.value("pac_concurrency_tenant_requests_total", &[("code", code)]).unwrap();
    assert!(requests("200") >= 2.0 && requests("403") == 1.0 && requests("503") == 0.0);
    let asked = |about: &str, answer: &str| {
        scrape.value("pac_concurrency_tenant_reviews_total", &[("about", about), ("answer", answer)]).unwrap()
    };
    assert_eq!((asked("access", "no"), asked("token", "no")), (1.0, 0.0));
    // More questions were answered than asked.
    assert!(asked("access", "yes") >= 1.0 && asked("access", "yes") <= requests("200"));
    watcher.stop();
}

#[test]
fn who_would_serve_tokens_in_the_clear_is_asked_whether_they_mean_it() {
    let world = World::by_hand(&json!({"concurrency-driver": "memory"}));
    let refused = said(&mut command(&world, &["run", "--tenants-addr", "0.0.0.0:0"]));
    assert_eq!(refused.code, 2);
    assert!((refused.out + &refused.err).contains("tokens would come in the clear"));
    let shadow = ["run", "--mode", "shadow", "--tenants-addr", "127.0.0.1:0"];
    let refused = said(&mut command(&world, &shadow));
    assert_eq!(refused.code, 2);
    assert!((refused.out + &refused.err).contains("not in shadow mode"));
}
