//! Admission: whatever policies and webhooks are stored here change or refuse what is written, as in a real cluster.
//!
//! A [`Request`] is compared with the rules and selectors of each policy, of its bindings, and of each webhook (`matching`).
//! Those it is within first change the object, policies (`mutating`) before webhooks (`webhook`), and once more where another
//! one changed it after them; then the others judge it (`validating`, `webhook`). Refusals have the status and the words of a
//! real API server.
//!
//! Of the API there is what follows: creations and updates, no deletions; JSON Patches, no apply configurations; one
//! parameter by name; in expressions no authorizer; audit annotations and warnings come to nothing; AdmissionReview v1. A
//! policy that says more fails when it is asked, as one does that can't be evaluated.

mod matching;
mod mutating;
mod policy;
mod service;
mod validating;
mod webhook;

use std::sync::Arc;

use serde_json::{Value, json};

pub(crate) use self::webhook::Caller;
use self::{
    policy::{Bound, Family},
    webhook::{Webhook, WebhookFamily},
};
use crate::{
    error::ApiError,
    object,
    resource::ResourceType,
    store::{Key, Part, Store},
};

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
    /// Whether fields that the type doesn't know are refused.
    pub(crate) strict: bool,
}

/// The policies and webhooks for one request, as they were when it came, and with their parameters.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    request: &'a Request,
    caller: &'a Caller,
    mutating: Vec<Mutator>,
    validating: Vec<Bound>,
    validating_webhooks: Vec<Webhook>,
}

/// What may change an object.
#[derive(Debug)]
enum Mutator {
    Policy(Bound),
    Webhook(Webhook),
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
            strict: false,
        }
    }

    pub(crate) fn key(&self) -> Key {
        Key::new(&self.namespace, &self.name)
    }

    pub(crate) fn part(&self) -> Part {
        if self.subresource == "status" { Part::Status } else { Part::Main }
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

impl<'a> Admission<'a> {
    pub(crate) fn of(store: &Store, caller: &'a Caller, request: &'a Request) -> Self {
        // A policy that refused everything couldn't be taken away again.
        let exempt = request.resource.group == "admissionregistration.k8s.io";
        let bound = |family| if exempt { Vec::new() } else { Bound::all(store, family, request) };
        let webhooks = |family| if exempt { Vec::new() } else { Webhook::all(store, family, request) };
        let policies = bound(Family::Mutating).into_iter().map(Mutator::Policy);
        Self {
            mutating: policies.chain(webhooks(WebhookFamily::Mutating).into_iter().map(Mutator::Webhook)).collect(),
            validating: bound(Family::Validating),
            validating_webhooks: webhooks(WebhookFamily::Validating),
            request,
            caller,
        }
    }

    /// The object as all have it that may change it. Those that ask for it are asked again where one after them changed it.
    pub(crate) async fn mutate(&self, mut object: Value, old: Option<&Value>) -> Result<Value, ApiError> {
        let mut last_change = 0;
        for (place, mutator) in self.mutating.iter().enumerate() {
            let mutated = self.mutate_by(mutator, &object, old).await?;
            if mutated != object {
                (object, last_change) = (mutated, place);
            }
        }
        for mutator in self.mutating[..last_change].iter().filter(|mutator| mutator.asks_again()) {
            object = self.mutate_by(mutator, &object, old).await?;
        }
        Ok(object)
    }

    async fn mutate_by(&self, mutator: &Mutator, object: &Value, old: Option<&Value>) -> Result<Value, ApiError> {
        match mutator {
            Mutator::Policy(policy) => mutating::mutate(self.request, policy, object, old),
            Mutator::Webhook(webhook) => webhook.ask(self.caller, self.request, object, old).await,
        }
    }

    /// Refuses what a policy or a webhook refuses.
    pub(crate) async fn validate(&self, object: &Value, old: Option<&Value>) -> Result<(), ApiError> {
        validating::validate(self.request, &self.validating, object, old)?;
        for webhook in &self.validating_webhooks {
            webhook.ask(self.caller, self.request, object, old).await?;
        }
        Ok(())
    }
}

// === impl Mutator ===

impl Mutator {
    fn asks_again(&self) -> bool {
        match self {
            Self::Policy(policy) => mutating::asks_again(policy),
            Self::Webhook(webhook) => webhook.asks_again(),
        }
    }
}
