//! Create, update, patch, apply and delete.

use std::collections::BTreeMap;

use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Call, Reply, Server, Target, body, read, respond};
use crate::{
    admission::{Operation, Request},
    conversion,
    error::ApiError,
    form::Form,
    object, patch, protobuf,
    store::{Deleted, Key, Preconditions, Store, Stored},
    writer::Change,
};

/// What each manager applied last, by uid and manager: so that a later apply can take away what it no longer names.
#[derive(Debug, Default)]
pub(crate) struct Applied(Mutex<BTreeMap<(String, String), Value>>);

// === impl Target ===

impl Target {
    fn key(&self) -> Key {
        Key::new(self.namespace.as_deref().unwrap_or_default(), self.name.as_deref().unwrap_or_default())
    }
}

// === impl Server ===

impl Server {
    pub(super) async fn create(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let value = body::object_of(call, target)?;
        if target.name.is_some() || (target.resource.namespaced && target.namespace.is_none()) {
            return Err(ApiError::method_not_allowed());
        }
        self.create_answer(call, target, value).await
    }

    async fn create_answer(&self, call: &Call, target: &Target, value: Value) -> Result<Reply, ApiError> {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let request = Request {
            name: object::name(&value).to_owned(),
            ..request(&self.store, call, target, Operation::Create, namespace)
        };
        let stored = self.writer.create(&request, value).await?;
        Ok(answer(StatusCode::CREATED, call, target, &stored))
    }

    pub(super) async fn update(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let value = body::object_of(call, target)?;
        let resource = target.resource;
        let name = target.name.as_deref().unwrap_or_default();
        let given = object::name(&value);
        if given != name {
            let message = format!("the name of the object ({given}) does not match the name on the URL ({name})");
            return Err(ApiError::bad_request(message));
        }
        let has_version = !object::meta_text(&value, "resourceVersion").is_empty();
        let request = self.update_request(call, target);
        let change = |current: &Value| {
            if !has_version && !resource.unconditional_update {
                let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
                let message = format!("{} \"{name}\" is invalid: {message}", resource.qualified());
                return Err(ApiError::new(422, "Invalid", message));
            }
            check_put_uid(target, current, &value)?;
            Ok(value.clone())
        };
        match self.writer.update(&request, &change).await {
            Err(error) if error.code == 404 && resource.create_on_update && !has_version => {
                self.create_answer(call, target, value).await
            }
            found => Ok(answer(StatusCode::OK, call, target, &*found?)),
        }
    }

    pub(super) async fn patch(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let media = call.content_type.split(';').next().unwrap_or_default().trim();
        let custom = target.resource.custom;
        match media {
            "application/json-patch+json" => {
                let operations = self.patch_body(call)?;
                self.patch_with(call, target, &|current| patch::json_patch(current, &operations)).await
            }
            "application/merge-patch+json" => {
                let merge = self.patch_body(call)?;
                self.patch_with(call, target, &|current| Ok(patch::merge_patch(current, &merge))).await
            }
            "application/strategic-merge-patch+json" if !custom => {
                let changes = self.patch_body(call)?;
                self.patch_with(call, target, &|current| Ok(patch::strategic_merge(current, &changes))).await
            }
            "application/apply-patch+yaml" => self.apply(call, target).await,
            _ => Err(ApiError::unsupported_media_type(if custom {
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            } else {
                "application/json-patch+json, application/merge-patch+json, \
                 application/strategic-merge-patch+json, application/apply-patch+yaml"
            })),
        }
    }

    fn update_request(&self, call: &Call, target: &Target) -> Request {
        let key = target.key();
        Request { name: key.name, ..request(&self.store, call, target, Operation::Update, &key.namespace) }
    }

    fn patch_body(&self, call: &Call) -> Result<Value, ApiError> {
        serde_json::from_slice(&call.body)
            .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))
    }

    /// Patches what the client sees: the served form of the object.
    async fn patch_with(&self, call: &Call, target: &Target, change: &Change<'_>) -> Result<Reply, ApiError> {
        let resource = target.resource;
        let request = self.update_request(call, target);
        let whole = |current: &Value| {
            if !conversion::is_converted(resource) {
                return change(current);
            }
            let served = conversion::to_served(resource, current.clone());
            Ok(conversion::to_stored(resource, change(&served)?))
        };
        let stored = self.writer.update(&request, &whole).await?;
        Ok(answer(StatusCode::OK, call, target, &stored))
    }

    async fn apply(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let manager = call.query.text("fieldManager");
        if manager.is_empty() {
            let message =
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
            return Err(ApiError::new(422, "Invalid", message));
        }
        let applied = body::yaml(&call.body)?;
        if object::meta(&applied, "managedFields").is_some() {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        let change = |current: &Value| {
            let previous = self.applied.get(current, manager);
            Ok(patch::apply(current, previous.as_ref(), &applied, target.resource.custom))
        };
        let reply = match self.patch_with(call, target, &change).await {
            Err(error) if error.code == 404 && !target.status => self.apply_create(call, target, &applied).await?,
            found => found?,
        };
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let name = target.name.as_deref().unwrap_or_default();
        if let Some(stored) = self.store.get_stored(target.resource, namespace, name).filter(|_| !call.query.dry_run())
        {
            self.applied.set(&stored.object, manager, applied);
        }
        Ok(reply)
    }

    async fn apply_create(&self, call: &Call, target: &Target, applied: &Value) -> Result<Reply, ApiError> {
        let name = target.name.as_deref().unwrap_or_default();
        let uid = object::meta_text(applied, "uid");
        if !uid.is_empty() {
            let why =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            return Err(ApiError::conflict(target.resource, name, &why));
        }
        let mut value = conversion::to_stored(target.resource, applied.clone());
        object::meta_mut(&mut value).insert("name".to_owned(), json!(name));
        self.create_answer(call, target, value).await
    }

    pub(super) fn delete(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let options: Value = match call.body.is_empty() {
            true => Value::Null,
            false if call.content_type.contains("protobuf") => protobuf::object(&call.body)
                .ok_or_else(|| ApiError::unsupported_media_type("application/json, application/yaml"))?,
            false => serde_json::from_slice(&call.body)
                .map_err(|error| ApiError::bad_request(format!("error decoding DeleteOptions: {error}")))?,
        };
        let text = |pointer: &str| object::text_at(&options, pointer).map(str::to_owned);
        let preconditions =
            Preconditions { uid: text("/preconditions/uid"), resource_version: text("/preconditions/resourceVersion") };
        let dry_run = call.query.dry_run() || options.pointer("/dryRun/0").is_some();
        match self.store.delete_object(target.resource, &target.key(), &preconditions, dry_run)? {
            Deleted::Kept(stored) => Ok(answer(StatusCode::OK, call, target, &stored)),
            Deleted::Gone { uid } => {
                let name = target.name.as_deref().unwrap_or_default();
                let mut details = json!({ "name": name, "kind": target.resource.plural, "uid": uid });
                if !target.resource.group.is_empty() {
                    details["group"] = json!(target.resource.group);
                }
                Ok(respond::json(StatusCode::OK, &success(Some(details))))
            }
        }
    }

    pub(super) fn delete_collection(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let filter = read::filter(call, target)?;
        let (_, objects) = self.store.list_stored(target.resource, target.namespace.as_deref());
        for stored in objects.iter().filter(|stored| filter.matches(&stored.object)) {
            match self.store.delete_object(
                target.resource,
                &stored.key,
                &Preconditions::default(),
                call.query.dry_run(),
            ) {
                // Somebody else was quicker.
                Err(error) if error.code == 404 => {}
                other => drop(other?),
            }
        }
        Ok(respond::json(StatusCode::OK, &success(None)))
    }
}

// === impl Applied ===

impl Applied {
    fn key(object: &Value, manager: &str) -> (String, String) {
        (object::meta_text(object, "uid").to_owned(), manager.to_owned())
    }

    fn get(&self, object: &Value, manager: &str) -> Option<Value> {
        self.0.lock().get(&Self::key(object, manager)).cloned()
    }

    fn set(&self, object: &Value, manager: &str, applied: Value) {
        self.0.lock().insert(Self::key(object, manager), applied);
    }
}

fn answer(status: StatusCode, call: &Call, target: &Target, stored: &Stored) -> Reply {
    let form = Form::of(&call.accept, call.query.get("includeObject"));
    respond::encoded(status, form.encode(target.resource, stored))
}

fn success(details: Option<Value>) -> Value {
    let mut status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" });
    if let Some(details) = details {
        status["details"] = details;
    }
    status
}

/// A PUT for another uid is a conflict, worded by the storage below.
fn check_put_uid(target: &Target, current: &Value, given: &Value) -> Result<(), ApiError> {
    let (uid, own) = (object::meta_text(given, "uid"), object::meta_text(current, "uid"));
    if uid.is_empty() || uid == own {
        return Ok(());
    }
    let key = target.key();
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: /registry/{}/{}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {uid}, UID in object meta: {own}",
        target.resource.group, target.resource.plural, key.namespace, key.name
    );
    Err(ApiError::conflict(target.resource, &key.name, &why))
}

/// A subresource is another resource to policies: what is for an object isn't for its status.
fn request(store: &Store, call: &Call, target: &Target, operation: Operation, namespace: &str) -> Request {
    Request {
        subresource: if target.status { "status" } else { "" },
        dry_run: call.query.dry_run(),
        caller: call.caller.clone(),
        strict: call.query.text("fieldValidation") == "Strict",
        ..Request::new(store, target.resource, operation, namespace)
    }
}
