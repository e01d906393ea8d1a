//! Questions that are objects: who has a token, what somebody may do; and the tokens of service accounts.

use std::{collections::BTreeSet, time::Duration};

use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, Reply, Server, Target, body, respond};
use crate::{
    access::{Attributes, Identity, allowed},
    error::ApiError,
    object,
};

/// What a service account's token lasts where nobody says it.
const LASTS: u64 = 3600;
const LASTS_AT_LEAST: u64 = 600;

// === impl Server ===

impl Server {
    /// Answers a question; nothing is stored.
    pub(super) fn review(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let mut review = body::object_of(call, target)?;
        review["kind"] = json!(target.resource.kind);
        review["apiVersion"] = json!(target.resource.api_version());
        review["status"] = match target.resource.plural {
            "tokenreviews" => self.token_review(&review)?,
            "subjectaccessreviews" => self.subject_access_review(&review)?,
            _ => self.own_access_review(call, &review),
        };
        Ok(respond::json(StatusCode::CREATED, &review))
    }

    fn token_review(&self, review: &Value) -> Result<Value, ApiError> {
        let token = object::text_at(review, "/spec/token").unwrap_or_default();
        if token.is_empty() {
            return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
        }
        Ok(match self.access.authenticate(token, &texts(review, "/spec/audiences")) {
            Ok((user, audiences)) => {
                json!({ "authenticated": true, "user": user.as_json(), "audiences": audiences })
            }
            Err(why) => json!({ "user": {}, "error": why }),
        })
    }

    fn subject_access_review(&self, review: &Value) -> Result<Value, ApiError> {
        let name = object::text_at(review, "/spec/user").unwrap_or_default().to_owned();
        let groups: BTreeSet<String> = texts(review, "/spec/groups").into_iter().collect();
        let attributes = attributes(review);
        let message = match &attributes {
            _ if name.is_empty() && groups.is_empty() => {
                "spec.user: Invalid value: \"\": at least one of user or group must be specified"
            }
            None => {
                "spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified"
            }
            Some(attributes) => {
                return Ok(verdict(allowed(&self.store, &Identity { name, groups, uid: String::new() }, attributes)));
            }
        };
        let message = format!("SubjectAccessReview.authorization.k8s.io \"\" is invalid: {message}");
        Err(ApiError::new(422, "Invalid", message))
    }

    /// Whoever shows no token that was issued here may do everything, as with all other requests.
    fn own_access_review(&self, call: &Call, review: &Value) -> Value {
        match (self.access.authenticate(&call.caller, &[]), attributes(review)) {
            (Ok((who, _)), Some(attributes)) => verdict(allowed(&self.store, &who, &attributes)),
            _ => verdict(Some(String::new())),
        }
    }

    /// `kubectl create token`.
    pub(super) fn token(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let mut request = body::parse(call, target.resource)?;
        let (namespace, name) = (target.namespace.as_deref().unwrap_or_default(), target.name.as_deref());
        let name = name.unwrap_or_default();
        let lasts = request.pointer("/spec/expirationSeconds").and_then(Value::as_u64).unwrap_or(LASTS);
        if lasts < LASTS_AT_LEAST {
            let why = format!(
                "authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: {lasts}: may not specify a \
                 duration less than 10 minutes"
            );
            return Err(ApiError::new(422, "Invalid", why));
        }
        let mut audiences = texts(&request, "/spec/audiences");
        let token = self.access.token_of_account(namespace, name, &audiences, Duration::from_secs(lasts));
        let token = token.ok_or_else(|| ApiError::not_found(target.resource, name))?;
        if audiences.is_empty() {
            audiences.push(crate::access::API_AUDIENCE.to_owned());
        }
        let until = Timestamp::now().as_second() + i64::try_from(lasts).unwrap_or(i64::MAX);
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        request["kind"] = json!("TokenRequest");
        request["apiVersion"] = json!("authentication.k8s.io/v1");
        request["spec"] = json!({ "audiences": audiences, "expirationSeconds": lasts });
        request["status"] = json!({ "token": token, "expirationTimestamp": until.to_string() });
        Ok(respond::json(StatusCode::CREATED, &request))
    }
}

fn verdict(reason: Option<String>) -> Value {
    match reason {
        None => json!({ "allowed": false }),
        Some(reason) if reason.is_empty() => json!({ "allowed": true }),
        Some(reason) => json!({ "allowed": true, "reason": reason }),
    }
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let texts = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    texts.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn attributes(review: &Value) -> Option<Attributes> {
    let of = |what: &Value, field: &str| object::text_at(what, field).unwrap_or_default().to_owned();
    match (review.pointer("/spec/resourceAttributes"), review.pointer("/spec/nonResourceAttributes")) {
        (Some(what), None) => {
            let (resource, sub) = (of(what, "/resource"), of(what, "/subresource"));
            Some(Attributes {
                verb: of(what, "/verb"),
                namespace: of(what, "/namespace"),
                group: of(what, "/group"),
                resource: if sub.is_empty() { resource } else { format!("{resource}/{sub}") },
                name: of(what, "/name"),
                path: None,
            })
        }
        (None, Some(what)) => {
            Some(Attributes { verb: of(what, "/verb"), path: Some(of(what, "/path")), ..Attributes::default() })
        }
        _ => None,
    }
}
