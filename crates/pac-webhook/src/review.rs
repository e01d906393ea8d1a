//! An AdmissionReview, and what is answered to it.

use base64::{Engine, engine::general_purpose::STANDARD};
use pac_kube::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What was done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The annotation got its other name.
    Renamed,
    /// There was nothing to rename.
    Passed,
    /// It isn't a review of a PipelineRun's write.
    Refused,
}

/// The parts of a review that count.
#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: &'a str,
    operation: &'a str,
    object: Option<Object>,
    old_object: Option<Object>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    annotations: Option<Annotations>,
}

/// Of the annotations there may be many, and they may be long.
#[derive(Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
struct Annotations {
    #[serde(rename = "pipelinesascode.tekton.dev/execution-order")]
    order: Option<String>,
    #[serde(rename = "concurrency.pipelinesascode.tekton.dev/handed-back")]
    handed_back: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
}

// === impl Verdict ===

impl Verdict {
    /// As the value of a metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Renamed => "renamed",
            Self::Passed => "passed",
            Self::Refused => "refused",
        }
    }
}

/// The answer to a review, as JSON; or why it is none.
pub(crate) fn answer(body: &[u8]) -> Result<(Vec<u8>, Verdict), serde_json::Error> {
    let Review { request } = serde_json::from_slice(body)?;
    let patch = brought(&request).map(|order| STANDARD.encode(renaming(order)));
    let verdict = if patch.is_some() { Verdict::Renamed } else { Verdict::Passed };
    let patch_type = patch.is_some().then_some("JSONPatch");
    let response = Response { uid: request.uid, allowed: true, patch_type, patch };
    let answer = Answer { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    Ok((serde_json::to_vec(&answer)?, verdict))
}

/// The order that a write brings to PAC's queue: one that the run didn't have, unless it is handed back by the same write.
fn brought<'r>(request: &'r Request<'_>) -> Option<&'r str> {
    fn annotations(object: Option<&Object>) -> Option<&Annotations> {
        object?.metadata.annotations.as_ref()
    }
    if request.operation != "UPDATE" {
        return None;
    }
    let (now, before) = (annotations(request.object.as_ref())?, annotations(request.old_object.as_ref()));
    let order = now.order.as_deref()?;
    let had = before.and_then(|before| before.order.as_deref());
    let marked = before.and_then(|before| before.handed_back.as_deref());
    let hands_back = now.handed_back.is_some() && now.handed_back.as_deref() != marked;
    (had != Some(order) && !hands_back).then_some(order)
}

/// The JSON Patch that gives the annotation its other name.
fn renaming(order: &str) -> String {
    let path = |name: &str| format!("/metadata/annotations/{}", name.replace('~', "~0").replace('/', "~1"));
    json!([
        { "op": "add", "path": path(EXECUTION_ORDER_KEPT), "value": order },
        { "op": "remove", "path": path(EXECUTION_ORDER) },
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use pac_kube::api::labels::HANDED_BACK;
    use serde_json::Value;

    use super::*;

    fn review(operation: &str, now: &Value, before: &Value) -> Vec<u8> {
        let object = |annotations: &Value| json!({ "metadata": { "name": "run", "annotations": annotations } });
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": operation, "object": object(now), "oldObject": object(before), "dryRun": false,
            },
        })
        .to_string()
        .into_bytes()
    }

    /// The order under its other name, if it gets it.
    fn renamed(operation: &str, now: &Value, before: &Value) -> Option<String> {
        let (answer, verdict) = answer(&review(operation, now, before)).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let response = &answer["response"];
        assert_eq!((&answer["kind"], &response["uid"]), (&json!("AdmissionReview"), &json!("u")));
        assert_eq!(response["allowed"], true);
        let Some(patch) = response["patch"].as_str() else {
            assert!(verdict == Verdict::Passed && response.get("patchType").is_none());
            return None;
        };
        assert!(verdict == Verdict::Renamed && response["patchType"] == "JSONPatch");
        let patch: Value = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
        let order = patch[0]["value"].as_str().unwrap().to_owned();
        let path = "/metadata/annotations/pipelinesascode.tekton.dev~1execution-order";
        assert_eq!(patch[1], json!({ "op": "remove", "path": path }));
        let path = "/metadata/annotations/concurrency.pipelinesascode.tekton.dev~1execution-order";
        assert_eq!(patch[0], json!({ "op": "add", "path": path, "value": order }));
        Some(order)
    }

    #[test]
    fn an_order_that_is_brought_is_renamed() {
        let with = |order: &str| json!({ EXECUTION_ORDER: order, "other": "x" });
        let a = Some("ci/a".to_owned());
        assert_eq!(renamed("UPDATE", &with("ci/a"), &Value::Null), a);
        assert_eq!(renamed("UPDATE", &with("ci/a"), &json!({})), a);
        assert_eq!(renamed("UPDATE", &with("ci/a"), &with("ci/b")), a);
        assert_eq!(renamed("UPDATE", &with("ci/a"), &with("ci/a")), None, "it is PAC's already");
        assert_eq!(renamed("CREATE", &with("ci/a"), &Value::Null), None);
        assert_eq!(renamed("UPDATE", &json!({ "other": "x" }), &with("ci/a")), None);
        assert_eq!(renamed("UPDATE", &Value::Null, &Value::Null), None);
    }

    #[test]
    fn an_order_that_is_handed_back_is_pacs() {
        let back = |at: &str| json!({ EXECUTION_ORDER: "ci/a", HANDED_BACK: at });
        assert_eq!(renamed("UPDATE", &back("now"), &json!({})), None);
        assert_eq!(renamed("UPDATE", &back("now"), &json!({ HANDED_BACK: "before" })), None);
        let again = renamed("UPDATE", &back("now"), &json!({ HANDED_BACK: "now" }));
        assert_eq!(again, Some("ci/a".to_owned()), "the marker counts in the write that brings it");
    }

    #[test]
    fn what_is_no_review_is_told_apart() {
        for body in ["", "{}", "[]", r#"{"request": {"uid": 1}}"#, r#"{"response": {}}"#] {
            assert!(answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
