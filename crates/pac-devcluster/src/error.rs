//! What a refused request gets: a `Status`, as Kubernetes words it.

use serde_json::{Value, json};

use crate::resource::ResourceType;

/// A refused request: HTTP status, machine-readable reason and message of a Kubernetes `Status`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message} ({reason}, {code})")]
pub struct ApiError {
    /// The HTTP status.
    pub code: u16,
    /// The reason, such as `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Expired`.
    pub reason: String,
    /// The message for people.
    pub message: String,
    /// `details` of the Status; absent where Kubernetes has none.
    pub details: Option<Value>,
}

// === impl ApiError ===

impl ApiError {
    pub(crate) fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), details: None }
    }

    fn named(self, resource: &ResourceType, kind: &str, name: &str) -> Self {
        let mut details = json!({ "name": name, "kind": kind });
        if !resource.group.is_empty() {
            details["group"] = json!(resource.group);
        }
        Self { details: Some(details), ..self }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn not_found(resource: &ResourceType, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified())).named(
            resource,
            resource.plural,
            name,
        )
    }

    pub(crate) fn forbidden(resource: &ResourceType, name: &str, why: &str) -> Self {
        Self::new(403, "Forbidden", format!("{} \"{name}\" is forbidden: {why}", resource.qualified())).named(
            resource,
            resource.plural,
            name,
        )
    }

    pub(crate) fn internal(why: &str) -> Self {
        let message = format!("Internal error occurred: {why}");
        let details = Some(json!({ "causes": [{ "message": why }] }));
        Self { details, ..Self::new(500, "InternalError", message) }
    }

    /// The same, with this as the cause in its details.
    pub(crate) fn caused_by(mut self, message: &str) -> Self {
        self.details.get_or_insert_default()["causes"] = json!([{ "message": message }]);
        self
    }

    pub(crate) fn already_exists(resource: &ResourceType, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified())).named(
            resource,
            resource.plural,
            name,
        )
    }

    pub(crate) fn conflict(resource: &ResourceType, name: &str, why: &str) -> Self {
        Self::new(
            409,
            "Conflict",
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified()),
        )
        .named(resource, resource.plural, name)
    }

    pub(crate) fn modified(resource: &ResourceType, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    /// A delete whose precondition failed is worded with the kind instead of the plural.
    pub(crate) fn precondition(resource: &ResourceType, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified_kind());
        Self::new(409, "Conflict", message).named(resource, resource.kind, name)
    }

    pub(crate) fn invalid(resource: &ResourceType, name: &str, causes: &[Cause]) -> Self {
        let mut problems: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        problems.dedup();
        let problems = if problems.len() == 1 { problems.concat() } else { format!("[{}]", problems.join(", ")) };
        let message = format!("{} \"{name}\" is invalid: {problems}", resource.qualified_kind());
        let mut error = Self::new(422, "Invalid", message).named(resource, resource.kind, name);
        if let Some(details) = error.details.as_mut() {
            details["causes"] = causes
                .iter()
                .map(|cause| json!({ "reason": cause.reason, "message": cause.message, "field": cause.field }))
                .collect();
        }
        error
    }

    /// A patch that parses but doesn't apply.
    pub(crate) fn patch_refused() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self { details: Some(json!({})), ..Self::new(422, "Invalid", message) }
    }

    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {accepted}");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// The `Status` object of this error.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(details) = &self.details {
            status["details"] = details.clone();
        }
        status
    }
}

/// One reason why an object is invalid.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    pub(crate) field: String,
}

// === impl Cause ===

impl Cause {
    pub(crate) fn value(field: &str, message: impl Into<String>) -> Self {
        Self { reason: "FieldValueInvalid", message: message.into(), field: field.to_owned() }
    }
}
