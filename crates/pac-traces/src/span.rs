//! A wait as OpenTelemetry has it: names after its semantic conventions as far as they go, then after those of Tekton and of
//! Pipelines-as-Code, whose spans stand beside it; the rest under a name of our own.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::jiff::Timestamp;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::wait::Wait;

/// The version of the semantic conventions; Pipelines-as-Code has the same.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.40.0";
/// The span's name, and who makes it.
pub(crate) const NAME: &str = "PipelineRun:Queued";
pub(crate) const SERVICE: &str = "pac-watcher";
const SCOPE: &str = "pac-concurrency";

/// Of OTLP's flags: whether it is known if the parent is another process's, and that it is.
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
const SAMPLED: u32 = 1;

/// What of the watcher itself goes with its spans.
pub(crate) fn resource(identity: &str) -> Resource {
    let attributes = vec![
        text("service.name", SERVICE),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", identity),
    ];
    Resource { attributes, ..Resource::default() }
}

/// These waits in one request.
pub(crate) fn request(resource: &Resource, waits: &[Wait]) -> ExportTraceServiceRequest {
    let (name, version) = (SCOPE.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let scope = InstrumentationScope { name, version, ..InstrumentationScope::default() };
    let spans = waits.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: SCHEMA.to_owned() }];
    let resource = Some(resource.clone());
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { resource, scope_spans, schema_url: SCHEMA.to_owned() }],
    }
}

fn span(wait: &Wait) -> Span {
    let uid = uid(wait.run.uid());
    let parent = wait.traced.parent.as_ref();
    let (trace, flags) = match parent {
        Some(parent) => (parent.trace, u32::from(parent.flags) | KNOWS_REMOTE | IS_REMOTE),
        None => (uid, SAMPLED | KNOWS_REMOTE),
    };
    Span {
        trace_id: trace.to_vec(),
        span_id: folded(uid).to_vec(),
        trace_state: parent.map(|parent| parent.state.clone()).unwrap_or_default(),
        parent_span_id: parent.map(|parent| parent.span.to_vec()).unwrap_or_default(),
        flags,
        name: NAME.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: nanoseconds(wait.began),
        end_time_unix_nano: nanoseconds(wait.ended),
        attributes: attributes(wait),
        events: wait.events.iter().map(|(at, event)| happened(*at, event.name())).collect(),
        dropped_events_count: wait.events_dropped,
        ..Span::default()
    }
}

fn attributes(wait: &Wait) -> Vec<KeyValue> {
    let own = |name: &str| format!("concurrency.pipelinesascode.tekton.dev.{name}");
    let (namespace, name) = (wait.run.namespace(), wait.run.name());
    let mut attributes = vec![
        text("k8s.namespace.name", namespace),
        text("cicd.pipeline.run.id", wait.run.uid()),
        text("cicd.pipeline.run.state", "pending"),
        // Tekton's and PAC's names for the same: who looks for a run by them finds all of its spans.
        text("namespace", namespace),
        text("pipelinerun", name),
        text(own("repository"), wait.repository.as_str()),
        text(own("outcome"), wait.outcome.name()),
    ];
    if wait.outcome.is_cancelled() {
        attributes.push(text("cicd.pipeline.result", "cancellation"));
    }
    attributes.extend(wait.traced.pipeline.as_deref().map(|pipeline| text("cicd.pipeline.name", pipeline)));
    let event_type = wait.traced.event_type.as_deref();
    attributes.extend(event_type.map(|kind| text("pipelinesascode.tekton.dev.event_type", kind)));
    attributes.extend(wait.place.map(|place| number(own("place"), i64::try_from(place).unwrap_or(i64::MAX))));
    attributes.extend(wait.limit.map(|limit| number(own("limit"), limit.into())));
    if !wait.reasons.is_empty() {
        let values = wait.reasons.iter().map(|reason| any(Value::StringValue(reason.name().to_owned()))).collect();
        attributes.push(attribute(own("reasons"), Value::ArrayValue(ArrayValue { values })));
    }
    attributes
}

fn happened(at: Timestamp, name: &str) -> Event {
    Event { time_unix_nano: nanoseconds(at), name: name.to_owned(), ..Event::default() }
}

fn text(key: impl Into<String>, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: impl Into<String>, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

/// Since 1970; 0 for what was before.
fn nanoseconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or_default()
}

/// The uid's 128 bits, so that the trace of a run that has none can be found by its uid; of what is no UUID a hash. Never 0, which
/// is no trace.
fn uid(uid: &str) -> [u8; 16] {
    let digits = uid.replace('-', "");
    let bits = if digits.len() == 32 { u128::from_str_radix(&digits, 16).ok() } else { None };
    let hash = |half: u8| {
        let mut hasher = DefaultHasher::new();
        (half, uid).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    bits.filter(|bits| *bits != 0).unwrap_or_else(|| (hash(0) << 64 | hash(1)).max(1)).to_be_bytes()
}

/// The span of a run: one for each uid.
fn folded(uid: [u8; 16]) -> [u8; 8] {
    let bits = u128::from_be_bytes(uid);
    let folded = (bits >> 64) as u64 ^ bits as u64;
    folded.max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_run_that_has_none_is_its_uid() {
        let id = "0f57e147-e992-b304-d977-436289d10628";
        assert_eq!(uid(id)[..4], [0x0f, 0x57, 0xe1, 0x47]);
        assert_eq!((uid("1"), uid("1") == uid("2")), (uid("1"), false));
        let none = "00000000-0000-0000-0000-000000000000";
        assert!(uid(none) != [0; 16] && folded([7; 16]) != [0; 8], "0 is no trace, and no span");
        assert_ne!(folded(uid(id)), folded(uid("1")));
    }

    #[test]
    fn a_time_before_1970_is_no_reason_to_panic() {
        assert_eq!(nanoseconds(Timestamp::MIN), 0);
        assert_eq!(nanoseconds(Timestamp::from_second(1).unwrap()), 1_000_000_000);
    }
}
