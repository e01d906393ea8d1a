//! A collector for tests: takes OTLP over HTTP, reads it with OpenTelemetry's own types, and does what it is told to.

#![allow(clippy::unwrap_used, clippy::panic, reason = "for tests: it fails as they do")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// How long a test waits for spans.
const PATIENCE: Duration = Duration::from_secs(60);

/// A collector on a port of its own, for as long as it is kept.
#[derive(Debug)]
pub struct TestCollector {
    port: u16,
    shared: Arc<(Mutex<Taken>, Condvar)>,
}

#[derive(Debug)]
struct Taken {
    spans: Vec<Span>,
    resource: HashMap<String, String>,
    requests: usize,
    answer: Answer,
    is_over: bool,
}

/// What it answers from now on.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It takes all.
    Takes,
    /// This, as it stands: a status and header lines, say.
    Says(&'static str),
    /// Nothing, ever.
    Nothing,
}

impl TestCollector {
    /// One on a port that is free.
    pub fn start() -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).unwrap())
    }

    /// One on this port.
    pub fn start_at(port: u16) -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", port)).unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let taken =
            Taken { spans: Vec::new(), resource: HashMap::new(), requests: 0, answer: Answer::Takes, is_over: false };
        let shared = Arc::new((Mutex::new(taken), Condvar::new()));
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serving.0.lock().unwrap().is_over {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || serve(stream.unwrap(), &serving));
            }
        });
        Self { port, shared }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `concurrency-traces-endpoint` is to say.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Has it answer like this from now on.
    pub fn answers(&self, answer: Answer) {
        self.taken().answer = answer;
    }

    /// How many requests have come whole.
    pub fn requests(&self) -> usize {
        self.taken().requests
    }

    /// What it has taken.
    pub fn spans(&self) -> Vec<Span> {
        self.taken().spans.clone()
    }

    /// What the last request said of who sent it.
    pub fn resource(&self) -> HashMap<String, String> {
        self.taken().resource.clone()
    }

    /// Waits until it has taken a span of the run of this name, and no longer than a test does.
    pub fn span_of(&self, run: &str) -> Span {
        let of = |taken: &Taken| taken.spans.iter().find(|span| text(span, "pipelinerun") == run).cloned();
        self.until(&format!("a span of {run}"), of)
    }

    /// Waits until so many requests have come.
    pub fn has_requests(&self, many: usize) {
        self.until(&format!("{many} requests"), |taken| (taken.requests >= many).then_some(()));
    }

    fn until<T>(&self, what: &str, is_there: impl Fn(&Taken) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        let mut taken = self.taken();
        loop {
            if let Some(found) = is_there(&taken) {
                return found;
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never came: {what}; but {:?}", taken.spans);
            taken = self.shared.1.wait_timeout(taken, left).unwrap().0;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.shared.0.lock().unwrap()
    }
}

impl Drop for TestCollector {
    fn drop(&mut self) {
        self.taken().is_over = true;
        // Wakes the thread that listens, so that the port is free.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// The text of an attribute; numbers and lists as text, too, and nothing for one that isn't there.
pub fn text(span: &Span, key: &str) -> String {
    span.attributes.iter().find(|attribute| attribute.key == key).map(value).unwrap_or_default()
}

fn value(attribute: &KeyValue) -> String {
    let shown = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::ArrayValue(list)) => {
            let values = list.values.iter().filter_map(|value| value.value.as_ref());
            values.map(shown).collect::<Vec<_>>().join(",")
        }
        Some(other) => shown(other),
        None => String::new(),
    }
}

/// Requests of one connection, one after the other.
fn serve(stream: TcpStream, shared: &(Mutex<Taken>, Condvar)) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let (mut taken, told) = (shared.0.lock().unwrap(), &shared.1);
        taken.requests += 1;
        let answer = taken.answer.clone();
        if let Answer::Takes = answer {
            for spans in request.resource_spans {
                let resource = spans.resource.unwrap_or_default();
                taken.resource = resource.attributes.iter().map(|one| (one.key.clone(), value(one))).collect();
                taken.spans.extend(spans.scope_spans.into_iter().flat_map(|scope| scope.spans));
            }
        }
        drop(taken);
        told.notify_all();
        let head = match answer {
            Answer::Takes => "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
            Answer::Says(head) => head,
            Answer::Nothing => continue,
        };
        if stream.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

/// The next request; none at the connection's end.
fn read(reader: &mut BufReader<TcpStream>) -> Option<ExportTraceServiceRequest> {
    let mut length = 0;
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    assert!(first.starts_with("POST /v1/traces HTTP/1.1"), "{first}");
    let mut is_protobuf = false;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            Some(("content-type", value)) => is_protobuf = value == "application/x-protobuf",
            _ => {}
        }
    }
    assert!(is_protobuf, "the content is what OTLP says it is");
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(ExportTraceServiceRequest::decode(&body[..]).unwrap())
}
