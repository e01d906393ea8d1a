//! The server answers the recorded requests of a real kube-apiserver as that one did.
//!
//! The recordings are replayed in their order against one server that starts at the recorded resourceVersion, so that
//! even the versions are compared. What varies is mapped: uids, the random part of generated names, times.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod support;

use std::collections::BTreeMap;

use http_body_util::BodyExt;
use kube::{Client, client::Body};
use pac_devcluster::{DevCluster, Options};
use serde_json::{Value, json};
use support::client;

/// Recorded text to the text that stands for it here.
type Names = BTreeMap<String, String>;

struct Replay {
    cluster: DevCluster,
    client: Client,
    names: Names,
}

struct Answer {
    status: u16,
    content_type: String,
    body: Value,
}

fn recordings(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Recorded texts replaced by what stands for them in this run.
fn translated(names: &Names, value: &Value) -> Value {
    let mut text = value.to_string();
    for (recorded, here) in names {
        text = text.replace(recorded, here);
    }
    serde_json::from_str(&text).unwrap()
}

/// Learns what stands for a recorded uid, generated name or continue token, wherever both answers have one.
fn learn(names: &mut Names, recorded: &Value, here: &Value) {
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => {
            for (key, value) in recorded {
                let Some(other) = here.get(key) else { continue };
                let varies = matches!(key.as_str(), "uid" | "continue")
                    || (key == "name" && recorded.contains_key("generateName"));
                match (value, other) {
                    (Value::String(value), Value::String(other)) if varies && !value.is_empty() => {
                        names.insert(value.clone(), other.clone());
                    }
                    _ => learn(names, value, other),
                }
            }
        }
        (Value::Array(recorded), Value::Array(here)) => {
            recorded.iter().zip(here).for_each(|(recorded, here)| learn(names, recorded, here));
        }
        _ => {}
    }
}

/// Takes out what varies in itself: times, ages, hashes, and what identifies the build and the compaction.
fn normalised(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let field = |(key, value): (&String, &Value)| {
                let varying = matches!(
                    key.as_str(),
                    "creationTimestamp"
                        | "deletionTimestamp"
                        | "storageVersionHash"
                        | "serverAddress"
                        | "gitVersion"
                        | "gitCommit"
                        | "goVersion"
                        | "compiler"
                );
                let value = if varying { json!("varies") } else { normalised(value) };
                (key.clone(), value)
            };
            map.iter().map(field).collect()
        }
        Value::Array(list) => list.iter().map(normalised).collect(),
        Value::String(text) if text.starts_with("too old resource version: 1 (") => json!("too old"),
        // The age of a start time that was recorded as a date: `4h24m`.
        Value::String(text) if is_age(text) => json!("age"),
        other => other.clone(),
    }
}

fn is_age(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|letter: char| letter.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h', 'd', 'y'])
        && text.chars().all(|letter| letter.is_ascii_digit() || "smhdy".contains(letter))
}

// === impl Replay ===

impl Replay {
    /// A server that stands where the recorded one stood: at resourceVersion 433, with one run in another namespace.
    async fn start() -> Self {
        let namespaces = vec!["rec".to_owned(), "ci".to_owned()];
        let options = Options { namespaces, first_revision: 429, ..Options::default() };
        let cluster = DevCluster::start(options).await.unwrap();
        let store = cluster.store();
        let recorded = recordings(include_str!("recordings/objects.json"));
        let list = recorded.iter().find(|entry| entry["name"] == "list-all-namespaces").unwrap();
        let mut other = list.pointer("/response/body/items/0").unwrap().clone();
        other["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        other["spec"]["status"] = json!("PipelineRunPending");
        store.create("pipelineruns", "ci", other).unwrap();
        store.patch("pipelineruns", "ci", "pr-1", &json!({ "spec": { "status": null } })).unwrap();
        assert_eq!(store.revision(), 433);
        let client = client(&cluster);
        Self { cluster, client, names: Names::new() }
    }

    async fn send(&self, request: &Value) -> http::Response<Body> {
        let request = translated(&self.names, request);
        let mut builder = http::Request::builder().method(text(&request, "/method")).uri(text(&request, "/path"));
        for (header, field) in [("accept", "/accept"), ("content-type", "/content_type")] {
            if let Some(value) = request.pointer(field).and_then(Value::as_str) {
                builder = builder.header(header, value);
            }
        }
        let body = match &request["body"] {
            Value::Null => Vec::new(),
            Value::String(raw) => raw.clone().into_bytes(),
            value => value.to_string().into_bytes(),
        };
        self.client.send(builder.body(Body::from(body)).unwrap()).await.unwrap()
    }

    async fn answer(&self, request: &Value) -> Answer {
        let response = self.send(request).await;
        let status = response.status().as_u16();
        let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
        Answer { status, content_type, body }
    }

    async fn replay(&mut self, entry: &Value) -> Result<(), String> {
        let name = text(entry, "/name");
        let answer = self.answer(&entry["request"]).await;
        let mut expected = entry.pointer("/response/body").unwrap().clone();
        if name == "list-all-namespaces" {
            // The one object that was there before the recording began.
            expected["items"][0]["metadata"]["resourceVersion"] = json!("433");
        }
        learn(&mut self.names, &expected, &answer.body);
        let expected = normalised(&translated(&self.names, &expected));
        let found = normalised(&answer.body);
        let status = entry["response"]["status"].as_u64().unwrap();
        if u64::from(answer.status) != status {
            return Err(format!("{name}: status {} instead of {status}: {found:#}", answer.status));
        }
        if answer.content_type != text(entry, "/response/content_type") {
            return Err(format!("{name}: content type {}", answer.content_type));
        }
        if found != expected {
            return Err(format!("{name}: answered {found:#}\ninstead of {expected:#}"));
        }
        Ok(())
    }

    /// Replays a watch: before each event that isn't a bookmark, what led to it is done.
    async fn replay_watch(&mut self, entry: &Value) {
        let name = text(entry, "/name").to_owned();
        let expected = entry.pointer("/response/events").unwrap().as_array().unwrap().clone();
        let initial = expected.iter().take_while(|event| is_older_run(event)).count();
        let response = self.send(&entry["request"]).await;
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["content-type"], "application/json", "{name}");
        let mut lines = Lines { body: response.into_body(), rest: Vec::new() };
        for (index, event) in expected.iter().enumerate() {
            let live = index >= initial && !matches!(text(event, "/type"), "BOOKMARK" | "ERROR");
            if live {
                self.act(event);
            }
            let found = lines.next().await.unwrap_or_else(|| panic!("{name}: ended before event {index}"));
            learn(&mut self.names, event, &found);
            assert_eq!(normalised(&found), normalised(&translated(&self.names, event)), "{name}: event {index}");
        }
        assert_eq!(lines.next().await, None, "{name}");
    }

    /// Does what made the server send this event in the recording.
    fn act(&self, event: &Value) {
        let store = self.cluster.store();
        let labels = |state: &str| json!({ "metadata": { "labels": { support::STATE: state } } });
        let patch = |patch: &Value| drop(store.patch("pipelineruns", "rec", "r3", patch).unwrap());
        match (text(event, "/type"), text(event, "/object/metadata/resourceVersion")) {
            ("ADDED", "455") => patch(&labels("queued")),
            ("ADDED", _) => {
                let mut run = event["object"].clone();
                run["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                store.create("pipelineruns", "rec", run).unwrap();
            }
            ("MODIFIED", _) => patch(&json!({ "metadata": { "annotations": { "k": "v" } } })),
            ("DELETED", "454") => patch(&labels("started")),
            _ => store.delete("pipelineruns", "rec", "r3").unwrap(),
        }
    }
}

/// A run from the first part of the recordings.
fn is_older_run(event: &Value) -> bool {
    text(event, "/type") == "ADDED" && text(event, "/object/metadata/name") != "r3"
}

struct Lines {
    body: Body,
    rest: Vec<u8>,
}

impl Lines {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.rest.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

#[tokio::test]
async fn answers_as_recorded() {
    let mut replay = Replay::start().await;
    let mut problems = Vec::new();
    for recording in [include_str!("recordings/discovery.json"), include_str!("recordings/objects.json")] {
        for entry in recordings(recording) {
            problems.extend(replay.replay(&entry).await.err());
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    // Something else was written between the two recordings.
    replay.cluster.store().ensure_namespace("other");
    for entry in recordings(include_str!("recordings/watches.json")) {
        replay.replay_watch(&entry).await;
    }
}
