//! Get, list and watch.

use std::{ops::Range, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use futures::stream;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Call, Reply, Server, Target, respond};
use crate::{
    error::{ApiError, Cause},
    form::Form,
    resource::ResourceType,
    selector::Filter,
    store::{Key, Snapshot, Stored},
    table,
    watch::{Start, Watch, WatchRequest},
};

/// A part of a list.
struct Page {
    revision: u64,
    objects: Vec<Arc<Stored>>,
    /// Where the next page starts, if there's one.
    next: Option<String>,
    remaining: Option<usize>,
}

/// What a page is taken from: a range of all objects at one moment.
struct Source {
    revision: u64,
    objects: Arc<Vec<Arc<Stored>>>,
    range: Range<usize>,
}

// === impl Source ===

impl Source {
    /// The objects of a snapshot behind a key, up to the end of the namespace.
    fn after(snapshot: Snapshot, filter: &Filter, after: Option<&Key>) -> Self {
        let objects = snapshot.objects;
        let namespace = filter.namespace.as_deref();
        let first = objects.partition_point(|stored| match (after, namespace) {
            (Some(after), _) => stored.key <= *after,
            (None, Some(namespace)) => stored.key.namespace.as_str() < namespace,
            (None, None) => false,
        });
        let end = namespace.map_or(objects.len(), |namespace| {
            objects.partition_point(|stored| stored.key.namespace.as_str() <= namespace)
        });
        Self { revision: snapshot.revision, range: first..end.max(first), objects }
    }
}

// === impl Server ===

impl Server {
    pub(super) fn get(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let name = target.name.as_deref().unwrap_or_default();
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let stored = self.store.get_stored(target.resource, namespace, name);
        let stored = stored.ok_or_else(|| ApiError::not_found(target.resource, name))?;
        Ok(respond::encoded(StatusCode::OK, form(call).encode(target.resource, &stored)))
    }

    pub(super) fn list(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let filter = filter(call, target)?;
        let page = self.page(call, target.resource, &filter)?;
        let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
        let form = form(call);
        if target.resource.custom && form == Form::Full {
            metadata["continue"] = json!("");
        }
        if let Some(next) = page.next {
            metadata["continue"] = json!(next);
        }
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        Ok(list_reply(target.resource, form, metadata, page.objects))
    }

    fn page(&self, call: &Call, resource: &'static ResourceType, filter: &Filter) -> Result<Page, ApiError> {
        let limit = call.query.number("limit").filter(|limit| *limit > 0);
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let Source { revision, objects, range } = match call.query.text("continue") {
            "" => self.list_from_start(call, resource, filter)?,
            token => self.list_from(resource, token, filter)?,
        };
        let source = &objects[range];
        let mut matching = source.iter().filter(|stored| filter.matches(&stored.object));
        let page: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let (mut next, mut remaining) = (None, None);
        if matching.next().is_some() {
            // Kept now, while this is still the newest state: later it would have to be computed.
            self.store.snapshot(resource, Some(revision))?;
            next = page.last().map(|last| continue_token(revision, &last.key, filter.namespace.is_some()));
            remaining = (!filter.selects()).then(|| source.len() - page.len());
        }
        Ok(Page { revision, objects: page, next, remaining })
    }

    fn list_from_start(
        &self,
        call: &Call,
        resource: &'static ResourceType,
        filter: &Filter,
    ) -> Result<Source, ApiError> {
        let wanted = call.query.number("resourceVersion").unwrap_or_default();
        self.check_not_future(wanted)?;
        if wanted > 0 && call.query.text("resourceVersionMatch") == "Exact" {
            self.store.check_watchable(resource, wanted)?;
            let snapshot = self.store.snapshot(resource, Some(wanted))?;
            return Ok(Source::after(snapshot, filter, None));
        }
        let (revision, objects) = self.store.list_stored(resource, filter.namespace.as_deref());
        Ok(Source { revision, range: 0..objects.len(), objects: Arc::new(objects) })
    }

    fn list_from(&self, resource: &'static ResourceType, token: &str, filter: &Filter) -> Result<Source, ApiError> {
        let (revision, after) = parse_token(token, filter.namespace.as_deref())
            .ok_or_else(|| ApiError::bad_request("continue key is not valid"))?;
        Ok(Source::after(self.store.snapshot(resource, Some(revision))?, filter, Some(&after)))
    }

    fn check_not_future(&self, wanted: u64) -> Result<(), ApiError> {
        let current = self.store.revision();
        if wanted <= current {
            return Ok(());
        }
        let message = format!("Too large resource version: {wanted}, current: {current}");
        let causes = json!([{ "reason": "ResourceVersionTooLarge", "message": "Too large resource version" }]);
        let details = json!({ "causes": causes, "retryAfterSeconds": 1 });
        Err(ApiError { details: Some(details), ..ApiError::new(504, "Timeout", message) })
    }

    pub(super) fn watch(&self, call: &Call, target: &Target) -> Result<Reply, ApiError> {
        let mut filter = filter(call, target)?;
        if let Some(name) = &target.name {
            filter = filter.with_name(name);
        }
        let request = WatchRequest {
            resource: target.resource,
            filter,
            form: form(call),
            start: self.start(call)?,
            bookmarks: call.query.flag("allowWatchBookmarks"),
            timeout: call.query.number("timeoutSeconds").filter(|seconds| *seconds > 0).map(Duration::from_secs),
        };
        if let Start::After(revision) = request.start
            && let Err(error) = self.store.check_watchable(target.resource, revision)
        {
            // A watch is accepted first and learns the bad news as its only event.
            let event = json!({ "type": "ERROR", "object": error.status() });
            return Ok(respond::encoded(StatusCode::OK, Bytes::from(format!("{event}\n"))));
        }
        let watch = Watch::open(request, &self.store, self.faults.control(), self.options.bookmark_interval);
        Ok(respond::stream(stream::unfold(watch, async |mut watch| {
            let bytes = watch.next().await?;
            Some((bytes, watch))
        })))
    }

    fn start(&self, call: &Call) -> Result<Start, ApiError> {
        let version = call.query.text("resourceVersion");
        let initial = call.query.flag("sendInitialEvents");
        let not_older = call.query.text("resourceVersionMatch") == "NotOlderThan";
        let bookmarks = call.query.flag("allowWatchBookmarks");
        if initial && !not_older {
            let field = "resourceVersionMatch";
            let why = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            return Err(invalid_options(field, why));
        }
        match version {
            "" | "0" => {
                let end_bookmark = initial && bookmarks;
                let listed = initial || call.query.get("sendInitialEvents").is_none();
                Ok(if listed { Start::Current { end_bookmark } } else { Start::After(self.store.revision()) })
            }
            version => {
                let revision = version.parse().map_err(|_| {
                    invalid_options("resourceVersion", &format!("Invalid value: \"{version}\": strconv.ParseUint"))
                })?;
                // An initial list that is as new as the one asked for: the newest always is.
                Ok(if initial { Start::Current { end_bookmark: bookmarks } } else { Start::After(revision) })
            }
        }
    }
}

fn invalid_options(field: &str, why: &str) -> ApiError {
    let cause = Cause::value(field, why);
    let message = format!("ListOptions.meta.k8s.io \"\" is invalid: {}: {}", cause.field, cause.message);
    ApiError::new(422, "Invalid", message)
}

fn form(call: &Call) -> Form {
    Form::of(&call.accept, call.query.get("includeObject"))
}

pub(super) fn filter(call: &Call, target: &Target) -> Result<Filter, ApiError> {
    let (labels, fields) = (call.query.text("labelSelector"), call.query.text("fieldSelector"));
    Filter::parse(target.resource, target.namespace.as_deref(), labels, fields)
}

fn list_reply(resource: &'static ResourceType, form: Form, metadata: Value, objects: Vec<Arc<Stored>>) -> Reply {
    let (api_version, kind) = match form {
        Form::Table(include) => {
            let objects = objects.iter().map(|stored| &*stored.object);
            return respond::json(StatusCode::OK, &table::table(resource, include, metadata, objects));
        }
        Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata".to_owned()),
        Form::Full => (resource.api_version(), resource.kind.to_owned()),
    };
    let head = format!("{{\"apiVersion\":\"{api_version}\",\"items\":[");
    let tail = format!("],\"kind\":\"{kind}List\",\"metadata\":{metadata}}}");
    let count = objects.len();
    let mut chunk = BytesMut::from(head.as_bytes());
    let mut items = objects.into_iter().enumerate();
    let mut tail = Some(tail);
    // Big lists leave in pieces, so that the first byte doesn't wait for the last object.
    respond::pieces(std::iter::from_fn(move || {
        for (index, stored) in items.by_ref() {
            chunk.extend_from_slice(&form.encode(resource, &stored));
            if index + 1 < count {
                chunk.extend_from_slice(b",");
            }
            if chunk.len() > 256 * 1024 {
                return Some(chunk.split().freeze());
            }
        }
        let tail = tail.take()?;
        chunk.extend_from_slice(tail.as_bytes());
        Some(chunk.split().freeze())
    }))
}

fn continue_token(revision: u64, last: &Key, namespaced: bool) -> String {
    let namespace = if namespaced { "" } else { &last.namespace };
    let start = json!(format!("{namespace}/{}\0", last.name));
    URL_SAFE_NO_PAD.encode(format!("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{revision},\"start\":{start}}}"))
}

fn parse_token(token: &str, namespace: Option<&str>) -> Option<(u64, Key)> {
    let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    let revision = value.get("rv")?.as_u64()?;
    let (own, name) = value.get("start")?.as_str()?.trim_end_matches('\0').split_once('/')?;
    Some((revision, Key::new(namespace.unwrap_or(own), name)))
}
