//! The trace that a run is of, as whoever created the run says in an annotation.
//!
//! Pipelines-as-Code writes it when it creates a run, if it traces itself: a JSON object whose `traceparent`, and `tracestate` if
//! there is one, are those of W3C's Trace Context. Tekton parents its own spans by the same annotation. Where Pipelines-as-Code
//! doesn't trace, a Git repository may write it onto its runs; nothing but the place of a span depends on it.

use std::collections::BTreeMap;

use kube::ResourceExt;

use crate::api::PipelineRun;
use crate::api::labels::{EVENT, ORIGINAL_NAME, SPAN_CONTEXT};

/// The longest annotation that is read, and the longest `tracestate`, in bytes: those that follow the standard are far shorter.
const LONGEST: usize = 4096;
const LONGEST_STATE: usize = 512;
/// The longest name that is kept of what others wrote, in bytes.
const LONGEST_NAME: usize = 256;

/// A span that others belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: [u8; 16],
    /// The span in it.
    pub span: [u8; 8],
    /// The flags of the standard; see [`Self::is_sampled`].
    pub flags: u8,
    /// What tracing systems tell each other, as it stands; empty if nothing.
    pub state: String,
}

/// What a span on a run tells that the watcher otherwise has no use for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traced {
    /// The span it belongs to.
    pub parent: Option<TraceContext>,
    /// What happened in the Git repository: `push`, `pull_request` and so on.
    pub event_type: Option<Box<str>>,
    /// The run's name in its Git repository.
    pub pipeline: Option<Box<str>>,
}

// === impl Traced ===

impl Traced {
    /// What `run` says.
    pub fn of(run: &PipelineRun) -> Self {
        let name = |key: &str| run.annotations().get(key).filter(|name| name.len() <= LONGEST_NAME);
        Self {
            parent: run.annotations().get(SPAN_CONTEXT).and_then(|text| TraceContext::parse(text)),
            event_type: name(EVENT[1]).map(|name| name.as_str().into()),
            pipeline: name(ORIGINAL_NAME).map(|name| name.as_str().into()),
        }
    }
}

// === impl TraceContext ===

impl TraceContext {
    /// What an annotation says; none if that isn't what the standard asks for.
    fn parse(annotation: &str) -> Option<Self> {
        if annotation.len() > LONGEST {
            return None;
        }
        let carried: BTreeMap<String, String> = serde_json::from_str(annotation).ok()?;
        let context = Self::of_traceparent(carried.get("traceparent")?)?;
        let state = carried.get("tracestate").filter(|state| state.len() <= LONGEST_STATE && state.is_ascii());
        Some(Self { state: state.cloned().unwrap_or_default(), ..context })
    }

    /// `00-` trace `-` span `-` flags, in lowercase hexadecimal digits. A later version may have more behind it.
    fn of_traceparent(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let [version] = bytes(parts.next()?)?;
        let (trace, span, [flags]) = (bytes(parts.next()?)?, bytes(parts.next()?)?, bytes(parts.next()?)?);
        let is_whole = version != 0xff && (version != 0 || parts.next().is_none());
        (is_whole && trace != [0; 16] && span != [0; 8]).then(|| Self { trace, span, flags, state: String::new() })
    }

    /// Whether its spans are kept: where they aren't, one that belongs to them would be alone.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

/// Exactly so many bytes in lowercase hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.bytes().all(is_digit) {
        return None;
    }
    let mut found = [0; N];
    for (byte, at) in found.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::convert::tests::run;

    const PARENT: &str = "00-0f57e147e992b304d977436289d10628-73d5909e31793992-01";

    fn context(traceparent: &str) -> Option<TraceContext> {
        TraceContext::parse(&json!({ "traceparent": traceparent }).to_string())
    }

    #[test]
    fn a_run_says_what_pac_wrote_onto_it() {
        let carried = json!({"traceparent": PARENT, "tracestate": "a=1,b=2"}).to_string();
        let annotations = json!({SPAN_CONTEXT: carried, EVENT[1]: "push", ORIGINAL_NAME: "build"});
        let traced = Traced::of(&run(json!({"metadata": {"annotations": annotations}})));
        let parent = traced.parent.unwrap();
        assert_eq!((parent.trace[..2].to_vec(), parent.span[7], parent.flags), (vec![0x0f, 0x57], 0x92, 1));
        assert_eq!((parent.state.as_str(), parent.is_sampled()), ("a=1,b=2", true));
        assert_eq!((traced.event_type.as_deref(), traced.pipeline.as_deref()), (Some("push"), Some("build")));
        assert_eq!(Traced::of(&run(json!({}))), Traced::default());
    }

    #[test]
    fn what_is_not_as_the_standard_has_it_is_none() {
        for wrong in [
            "",
            "x",
            &PARENT[..54],
            &PARENT.to_uppercase(),
            &PARENT.replace("00-", "ff-"),
            &format!("{PARENT}-00"),
            "00-00000000000000000000000000000000-73d5909e31793992-01",
            "00-0f57e147e992b304d977436289d10628-0000000000000000-01",
            "00-0f57e147e992b304d977436289d1062ä-73d5909e31793992-01",
        ] {
            assert_eq!(context(wrong), None, "{wrong}");
        }
        let strangers = ["", "[]", "{}", "{\"traceparent\": 1}", PARENT, &" ".repeat(5000)];
        assert!(strangers.into_iter().all(|stranger| TraceContext::parse(stranger).is_none()));
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!(context(&format!("{}-more", PARENT.replacen("00-", "01-", 1))).is_some());
    }

    #[test]
    fn a_trace_that_nobody_keeps_is_told_apart() {
        assert!(!context(&PARENT.replace("-01", "-00")).unwrap().is_sampled());
        assert!(context(&PARENT.replace("-01", "-03")).unwrap().is_sampled(), "other flags say other things");
    }

    #[test]
    fn a_state_that_is_too_long_is_left_out_and_its_trace_is_not() {
        let text = json!({"traceparent": PARENT, "tracestate": "a".repeat(600)}).to_string();
        assert_eq!(TraceContext::parse(&text).unwrap().state, "");
    }
}
