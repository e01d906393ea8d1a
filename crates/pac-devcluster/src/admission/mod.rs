//! Admission: whatever policies are stored here change or refuse what is written, as in a real cluster.
//!
//! A [`Request`] is compared with the rules and selectors of each policy and of its bindings (`matching`). Those it is within
//! ([`policy`]) first change the object (`mutating`), once more where another one changed it after them; then the others
//! judge it (`validating`). Refusals have the status and the words of a real API server.
//!
//! Of the API there is what follows: creations and updates, no deletions; JSON Patches, no apply configurations; one
//! parameter by name; in expressions no authorizer; audit annotations and warnings come to nothing. A policy that says
//! more fails when it is asked, as one does that can't be evaluated.

mod matching;
mod mutating;
mod policy;
mod validating;

use std::sync::Arc;

use serde_json::{Value, json};

use self::policy::{Bound, Family};
use crate::{error::ApiError, object, resource::ResourceType, store::Store};

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Update,
}

/// A write as admission sees it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) resource: &'static ResourceType,
    /// Empty for the object itself.
    pub(crate) subresource: &'static str,
    pub(crate) operation: Operation,
    pub(crate) namespace: String,
    /// The Namespace, where the object has one that exists.
    pub(crate) namespace_object: Option<Arc<Value>>,
    /// Empty where a name is still to be made up.
    pub(crate) name: String,
    pub(crate) dry_run: bool,
    /// The bearer token.
    pub(crate) caller: String,
}

/// The policies for one request, with their parameters as they were when it came.
#[derive(Debug)]
pub(crate) struct Admission {
    request: Request,
    mutating: Vec<Bound>,
    validating: Vec<Bound>,
}

// === impl Operation ===

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
        }
    }

    fn options(self) -> &'static str {
        match self {
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
        }
    }
}

// === impl Request ===

impl Request {
    pub(crate) fn new(store: &Store, resource: &'static ResourceType, operation: Operation, namespace: &str) -> Self {
        let namespace_object = Some(namespace).filter(|_| resource.namespaced);
        Self {
            resource,
            subresource: "",
            operation,
            namespace: namespace.to_owned(),
            namespace_object: namespace_object.and_then(|namespace| store.get("namespaces", "", namespace)),
            name: String::new(),
            dry_run: false,
            caller: String::new(),
        }
    }

    /// As expressions and webhooks have it.
    fn to_value(&self) -> Value {
        let resource = self.resource;
        let kind = json!({ "group": resource.group, "version": resource.version, "kind": resource.kind });
        let plural = json!({ "group": resource.group, "version": resource.version, "resource": resource.plural });
        json!({
            "kind": kind, "resource": plural, "subResource": self.subresource,
            "requestKind": kind, "requestResource": plural, "requestSubResource": self.subresource,
            "name": self.name, "namespace": self.namespace, "operation": self.operation.as_str(),
            "userInfo": { "username": self.caller, "groups": [] },
            "dryRun": self.dry_run,
            "options": { "apiVersion": "meta.k8s.io/v1", "kind": self.operation.options() },
        })
    }

    /// The name in messages: where there's none yet, what is known of it.
    fn shown_name<'a>(&'a self, object: &'a Value) -> &'a str {
        let known = [&self.name, object::name(object), object::meta_text(object, "generateName")];
        known.into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown")
    }
}

// === impl Admission ===

impl Admission {
    pub(crate) fn of(store: &Store, request: Request) -> Self {
        // A policy that refused everything couldn't be taken away again.
        let exempt = request.resource.group == "admissionregistration.k8s.io";
        let bound = |family| if exempt { Vec::new() } else { Bound::all(store, family, &request) };
        Self { mutating: bound(Family::Mutating), validating: bound(Family::Validating), request }
    }

    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The object as the mutating policies have it.
    pub(crate) fn mutate(&self, object: Value, old: Option<&Value>) -> Result<Value, ApiError> {
        if self.mutating.is_empty() { Ok(object) } else { mutating::mutate(&self.request, &self.mutating, object, old) }
    }

    /// Refuses what a validating policy refuses.
    pub(crate) fn validate(&self, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
        validating::validate(&self.request, &self.validating, object, old)
    }
}
