//! What becomes of spans, with a collector that is there, away, slow, short of time or not one at all.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::PrometheusBuilder;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_kube::convert::{Phase, RunView};
use pac_kube::hold::Hold;
use pac_kube::trace_context::{TraceContext, Traced};
use pac_state::health::Health;
use pac_state::index::{Index, OwnLimit};
use pac_traces::testing::{Answer, TestCollector, text};
use pac_traces::{Collector, Pace, Traces};
use rcgen::{Certificate, CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Seconds are milliseconds.
fn quick() -> Pace {
    Pace {
        queue: 4,
        together: 2,
        gathers: Duration::from_millis(20),
        within: Duration::from_millis(300),
        tries: [10, 20].map(Duration::from_millis).to_vec(),
    }
}

struct World {
    traces: Traces,
    collector: watch::Sender<Option<Collector>>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn to(url: &str) -> Option<Collector> {
    Some(Collector { url: format!("{url}/v1/traces"), ca_file: None })
}

impl World {
    fn sending_to(url: &str) -> Self {
        let global = RepositoryKey::new("pac", "pac").unwrap();
        let index = Arc::new(Index::new(global));
        index.apply_repository(&repository(), OwnLimit::Says(Some(3)));
        let (_, leading) = watch::channel(true);
        let (traces, exporter) = Traces::new(index, Arc::new(Health::default()), leading, "watcher-0", quick());
        traces.set_on(true);
        let (collector, receiver) = watch::channel(to(url));
        let stop = CancellationToken::new();
        let running = tokio::spawn(exporter.run("concurrency-traces-endpoint", receiver, stop.clone()));
        Self { traces, collector, stop, running }
    }

    /// These wait and are started.
    fn start(&self, names: &[&str]) {
        for name in names {
            self.start_traced(name, Traced::default());
        }
    }

    fn start_traced(&self, name: &str, traced: Traced) {
        let run = RunKey::new("ns", name, name).unwrap();
        self.traces.saw(&view(&run), || traced);
        self.traces.started(&repository(), &run);
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

fn repository() -> RepositoryKey {
    RepositoryKey::new("ns", "repo").unwrap()
}

fn view(run: &RunKey) -> RunView {
    RunView {
        key: run.clone(),
        repository: repository(),
        created: 1_767_225_600,
        phase: Phase::Waiting,
        begun: None,
        release_reason: None,
        event: None,
        place: None,
        awaits_secret: false,
        has_pacs_order: false,
        hold: Hold::None,
        notice: None,
        complaint: None,
    }
}

fn traced(flags: u8) -> Traced {
    let parent = TraceContext { trace: [7; 16], span: [9; 8], flags, state: "a=1".to_owned() };
    Traced { parent: Some(parent), event_type: Some("push".into()), pipeline: Some("build".into()) }
}

async fn blocking<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_says_what_the_conventions_have_names_for() {
    let collector = Arc::new(TestCollector::start());
    let world = World::sending_to(&collector.url());
    world.start_traced("a", traced(1));
    world.start_traced("nobody-keeps-it", traced(0));
    world.start(&["b"]);
    let (one, other) = (Arc::clone(&collector), Arc::clone(&collector));
    let [a, b] = [blocking(move || one.span_of("a")).await, blocking(move || other.span_of("b")).await];
    assert_eq!((a.trace_id, a.parent_span_id, a.trace_state.as_str()), (vec![7; 16], vec![9; 8], "a=1"));
    assert!(b.parent_span_id.is_empty() && b.trace_id.len() == 16 && b.span_id.len() == 8);
    assert_eq!((a.flags & 0x301, b.flags & 0x301, a.name.as_str(), a.kind), (0x301, 0x101, "PipelineRun:Queued", 1));
    assert_eq!(
        (a.start_time_unix_nano, a.start_time_unix_nano < a.end_time_unix_nano),
        (1_767_225_600_000_000_000, true)
    );
    let a = collector.span_of("a");
    for (key, value) in [
        ("k8s.namespace.name", "ns"),
        ("namespace", "ns"),
        ("cicd.pipeline.run.id", "a"),
        ("cicd.pipeline.run.state", "pending"),
        ("cicd.pipeline.name", "build"),
        ("cicd.pipeline.result", ""),
        ("pipelinesascode.tekton.dev.event_type", "push"),
        ("concurrency.pipelinesascode.tekton.dev.repository", "ns/repo"),
        ("concurrency.pipelinesascode.tekton.dev.limit", "3"),
        ("concurrency.pipelinesascode.tekton.dev.outcome", "started"),
    ] {
        assert_eq!(text(&a, key), value, "{key}");
    }
    let resource = collector.resource();
    assert_eq!((&*resource["service.name"], &*resource["service.instance.id"]), ("pac-watcher", "watcher-0"));
    world.stop().await;
    assert!(collector.spans().iter().all(|span| text(span, "pipelinerun") != "nobody-keeps-it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_sent_when_the_watcher_stops_is_sent() {
    let collector = TestCollector::start();
    let world = World::sending_to(&collector.url());
    world.start(&["a", "b", "c"]);
    world.stop().await;
    // One that stops in the middle of a request may send what was in it twice, under the same IDs.
    let sent: BTreeSet<Vec<u8>> = collector.spans().into_iter().map(|span| span.span_id).collect();
    assert_eq!(sent.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_nothing_and_gets_what_comes_later() {
    let counted = PrometheusBuilder::new().install_recorder().unwrap();
    let port = pac_devservers::free_port().unwrap();
    let world = World::sending_to(&format!("http://127.0.0.1:{port}"));
    let names: Vec<String> = (0..1000).map(|number| format!("run-{number}")).collect();
    let began = Instant::now();
    names.iter().for_each(|name| world.start(&[name]));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(1), "whoever starts runs waits for none of it: {took:?}");
    let collector = Arc::new(TestCollector::start_at(port));
    let until = Instant::now() + Duration::from_secs(30);
    for number in 0.. {
        world.start(&[&format!("later-{number}")]);
        if collector.spans().iter().any(|span| text(span, "pipelinerun").starts_with("later")) {
            break;
        }
        assert!(Instant::now() < until, "nothing came");
        tokio::time::sleep(Duration::from_millis(20)).await; // there may have been no room in the queue
    }
    world.stop().await;
    let counted = counted.render();
    let count = |outcome: &str| -> f64 {
        let series = format!("pac_concurrency_trace_spans_total{{outcome=\"{outcome}\"}} ");
        counted.lines().find_map(|line| line.strip_prefix(&*series)?.parse().ok()).unwrap_or_default()
    };
    // One whose answer was cut off by the end is sent twice, as the same span.
    let taken: BTreeSet<Vec<u8>> = collector.spans().into_iter().map(|span| span.span_id).collect();
    assert!(count("dropped") > 900.0 && count("sent") == taken.len() as f64, "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_is_given_up_and_does_not_keep_the_watcher_from_stopping() {
    let collector = Arc::new(TestCollector::start());
    collector.answers(Answer::Nothing);
    let world = World::sending_to(&collector.url());
    world.start(&["a", "b", "c", "d", "e", "f"]);
    let asked = Arc::clone(&collector);
    blocking(move || asked.has_requests(3)).await;
    let began = Instant::now();
    world.start(&["g"]);
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_short_of_time_is_asked_again_and_one_that_refuses_is_not() {
    let collector = Arc::new(TestCollector::start());
    collector.answers(Answer::Says("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"));
    let world = World::sending_to(&collector.url());
    let began = Instant::now();
    world.start(&["a"]);
    let asked = Arc::clone(&collector);
    blocking(move || asked.has_requests(1)).await;
    collector.answers(Answer::Takes);
    let asked = Arc::clone(&collector);
    blocking(move || asked.span_of("a")).await;
    assert!(began.elapsed() >= Duration::from_secs(1), "it asked for a second: {:?}", began.elapsed());
    collector.answers(Answer::Says("HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno!"));
    world.start(&["b"]);
    let asked = Arc::clone(&collector);
    blocking(move || asked.has_requests(3)).await;
    collector.answers(Answer::Takes);
    world.start(&["c"]);
    let asked = Arc::clone(&collector);
    blocking(move || asked.span_of("c")).await;
    world.stop().await;
    assert!(collector.spans().iter().all(|span| text(span, "pipelinerun") != "b"), "it was asked once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_collector_gets_what_the_former_did_not_take() {
    let (former, collector) = (TestCollector::start(), Arc::new(TestCollector::start()));
    former.answers(Answer::Says("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n"));
    let world = World::sending_to(&former.url());
    world.start(&["a"]);
    let former = blocking(move || {
        former.has_requests(1);
        former
    })
    .await;
    world.collector.send_replace(to(&collector.url()));
    let asked = Arc::clone(&collector);
    blocking(move || asked.span_of("a")).await;
    world.collector.send_replace(None);
    world.start(&["b"]);
    world.stop().await;
    assert_eq!((former.spans().len(), collector.spans().len()), (0, 1), "nobody gets what nobody is to get");
}

/// Shows `certificate` to whoever connects, and passes on to `port` what is said then; returns its own port.
async fn in_tls(certificate: &Certificate, key: &KeyPair, port: u16) -> u16 {
    let (chain, key) = (vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever doesn't trust it goes away.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut behind = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move { drop(tokio::io::copy_bidirectional(&mut stream, &mut behind).await) });
        }
    });
    own
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_file_of_authorities_alone_says_who_is_trusted() {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.pem()).unwrap();
    let collector = Arc::new(TestCollector::start());
    let port = in_tls(&certificate, &key, collector.port()).await;
    let trusting = Some(file.path().to_owned());
    for (host, ca_file, name) in [
        ("localhost", None, "by-nobody-known"),
        ("127.0.0.1", trusting.clone(), "by-another-name"),
        ("localhost", trusting, "trusted"),
    ] {
        let world = World::sending_to(&format!("https://{host}:{port}"));
        world.collector.send_modify(|collector| collector.as_mut().unwrap().ca_file = ca_file);
        world.start(&[name]);
        world.stop().await;
    }
    let taken: Vec<String> = collector.spans().iter().map(|span| text(span, "pipelinerun")).collect();
    assert_eq!(taken, ["trusted"]);
}
