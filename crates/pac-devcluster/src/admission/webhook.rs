//! Webhooks: asked over TLS, as AdmissionReview v1.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Request, matching,
    policy::{conditions_hold, inputs},
    service::Place,
};
use crate::{error::ApiError, https::Https, patch, store::Store};

/// Calls webhooks, wherever they are.
#[derive(Debug)]
pub(crate) struct Caller {
    store: Store,
    https: Https,
}

/// The two kinds of configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WebhookFamily {
    Mutating,
    Validating,
}

/// One webhook of a configuration.
#[derive(Debug)]
pub(super) struct Webhook {
    family: WebhookFamily,
    definition: Value,
}

/// What came of asking.
enum Failure {
    /// Nobody was reached, or none that gave an answer of use.
    Call(String),
    /// The answer is no.
    Refused(ApiError),
}

// === impl Caller ===

impl Caller {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, https: Https::default() }
    }
}

// === impl Webhook ===

impl Webhook {
    /// Those whose rules cover the request, configuration by configuration.
    pub(super) fn all(store: &Store, family: WebhookFamily, request: &Request) -> Vec<Self> {
        let plural = match family {
            WebhookFamily::Mutating => "mutatingwebhookconfigurations",
            WebhookFamily::Validating => "validatingwebhookconfigurations",
        };
        let configurations = store.list(plural, None, "").unwrap_or_default();
        let of = |configuration: Arc<Value>| configuration["webhooks"].as_array().cloned().unwrap_or_default();
        let definitions = configurations.into_iter().flat_map(of);
        let covering = definitions.filter(|definition| matching::may_be_for(definition, RULES, request));
        covering.map(|definition| Self { family, definition }).collect()
    }

    fn name(&self) -> &str {
        self.definition["name"].as_str().unwrap_or_default()
    }

    /// Whether it wants to be asked again where another one changed the object after it.
    pub(super) fn asks_again(&self) -> bool {
        self.definition["reinvocationPolicy"] == "IfNeeded"
    }

    /// The object as the webhook has it; unchanged where it isn't asked.
    pub(super) async fn ask(
        &self,
        caller: &Caller,
        request: &Request,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let ignores = self.definition["failurePolicy"] == "Ignore";
        let asked = match self.is_for(request, object, old) {
            Ok(false) => return Ok(object.clone()),
            Err(_) if ignores => return Ok(object.clone()),
            Err(why) => return Err(ApiError::forbidden(request.resource, request.shown_name(object), &why)),
            Ok(true) => self.call(caller, request, object, old).await,
        };
        match asked {
            Ok(answered) => Ok(answered),
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Call(_)) if ignores => Ok(object.clone()),
            Err(Failure::Call(why)) => {
                Err(ApiError::internal(&format!("failed calling webhook \"{}\": {why}", self.name())))
            }
        }
    }

    fn is_for(&self, request: &Request, object: &Value, old: Option<&Value>) -> Result<bool, String> {
        if !matching::is_for(&self.definition, RULES, request, [Some(object), old])? {
            return Ok(false);
        }
        let conditions = self.definition["matchConditions"].as_array();
        conditions.map_or(Ok(true), |all| conditions_hold(all.iter(), &inputs(request, object, old)))
    }

    async fn call(
        &self,
        caller: &Caller,
        request: &Request,
        object: &Value,
        old: Option<&Value>,
    ) -> Result<Value, Failure> {
        let name = self.name();
        let harmless = matches!(self.definition["sideEffects"].as_str(), Some("None" | "NoneOnDryRun"));
        if request.dry_run && !harmless {
            let message = format!("admission webhook \"{name}\" does not support dry run");
            return Err(Failure::Refused(ApiError::bad_request(message)));
        }
        let uid = Uuid::new_v4().to_string();
        let mut asked = request.to_value();
        asked["uid"] = json!(uid);
        asked["object"] = object.clone();
        asked["oldObject"] = old.cloned().unwrap_or_default();
        let review = json!({ "kind": "AdmissionReview", "apiVersion": VERSION, "request": asked });
        let answer = self.post(caller, review.to_string().into()).await;
        let answer = answer.map_err(|why| Failure::Call(format!("failed to call webhook: {why}")))?;
        let invalid = |why: String| Failure::Call(format!("received invalid webhook response: {why}"));
        let response = verified(&answer, &uid).map_err(invalid)?;
        if response["allowed"] != true {
            return Err(Failure::Refused(refusal(name, &response["status"])));
        }
        self.patched(object, response)
    }

    async fn post(&self, caller: &Caller, body: Bytes) -> Result<Value, String> {
        let seconds = self.definition["timeoutSeconds"].as_u64().unwrap_or(DEFAULT_TIMEOUT);
        let place = Place::of(&caller.store, &self.definition["clientConfig"])?;
        let path = format!("{}?timeout={seconds}s", place.path);
        let post = async {
            let peer = place.peer.as_ref().map_err(Clone::clone)?;
            caller.https.post(peer, &place.host, &path, body).await
        };
        let answered = tokio::time::timeout(Duration::from_secs(seconds), post).await;
        let answered = answered.unwrap_or_else(|_| Err("context deadline exceeded".to_owned()));
        let (status, body) = answered.map_err(|why| format!("Post \"https://{}{path}\": {why}", place.host))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&body).map_err(|error| error.to_string()),
            StatusCode::NOT_FOUND => Err("the server could not find the requested resource".to_owned()),
            status if status.is_server_error() => {
                let said = String::from_utf8_lossy(&body);
                Err(format!("an error on the server ({said:?}) has prevented the request from succeeding"))
            }
            _ => Err("the server rejected our request for an unknown reason".to_owned()),
        }
    }

    fn patched(&self, object: &Value, response: &Value) -> Result<Value, Failure> {
        let Some(patch) = response["patch"].as_str().filter(|patch| !patch.is_empty()) else {
            return Ok(object.clone());
        };
        if self.family == WebhookFamily::Validating {
            let why = "received invalid webhook response: webhook response validating may not have a patch";
            return Err(Failure::Call(why.to_owned()));
        }
        let undecodable = |why: String| Failure::Call(format!("received undecodable patch in webhook response: {why}"));
        let patch = STANDARD.decode(patch).map_err(|error| undecodable(error.to_string()))?;
        let operations: Value = serde_json::from_slice(&patch).map_err(|error| undecodable(error.to_string()))?;
        patch::json_patch(object, &operations).map_err(|error| Failure::Refused(ApiError::internal(&error.message)))
    }
}

const RULES: &str = "rules";
const VERSION: &str = "admission.k8s.io/v1";
/// In seconds, where a configuration doesn't say.
const DEFAULT_TIMEOUT: u64 = 10;

/// The response in an answer, if it is one to what was asked.
fn verified<'a>(answer: &'a Value, uid: &str) -> Result<&'a Value, String> {
    let text = |field: &str| answer[field].as_str().unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if (version, kind) != (VERSION, "AdmissionReview") {
        return Err(format!(
            "expected webhook response of {VERSION}, Kind=AdmissionReview, got {version}, Kind={kind}"
        ));
    }
    let response = answer.get("response").filter(|response| response.is_object());
    let response = response.ok_or("webhook response was absent")?;
    let given = response["uid"].as_str().unwrap_or_default();
    if given != uid {
        return Err(format!("expected response.uid=\"{uid}\", got \"{given}\""));
    }
    let has = |field: &str| response[field].as_str().is_some_and(|text| !text.is_empty());
    match (has("patch"), response["patchType"].as_str()) {
        (true, None) => Err("webhook returned response.patch but not response.patchType".to_owned()),
        (true, Some("JSONPatch")) | (false, _) => Ok(response),
        (true, Some(other)) => Err(format!("webhook returned invalid response.patchType of \"{other}\"")),
    }
}

/// What a webhook's no becomes.
fn refusal(name: &str, status: &Value) -> ApiError {
    let denied = format!("admission webhook \"{name}\" denied the request");
    let text = |field: &str| status[field].as_str().filter(|text| !text.is_empty());
    let message = match text("message").or(text("reason")) {
        Some(why) => format!("{denied}: {why}"),
        None => format!("{denied} without explanation"),
    };
    let code = status["code"].as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    ApiError::new(code.unwrap_or(400), text("reason").unwrap_or_default(), message)
}
