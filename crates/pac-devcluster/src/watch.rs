//! One watch: a cursor into the log of its resource, woken by news, never polling.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};

use crate::{
    error::ApiError,
    faults::Control,
    form::Form,
    history::Change,
    object,
    resource::ResourceType,
    selector::Filter,
    store::{Entry, Store, Stored},
};

/// How many changes are read from the log at once.
const BATCH: usize = 256;

/// Before the deadline, bookmarks come once a second from here on, so that the next watch starts near the end.
const FINAL_BOOKMARKS: Duration = Duration::from_secs(2);

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With an ADDED for every object there is, and a bookmark that says so if asked for.
    Current { end_bookmark: bool },
    /// With the first change after this revision.
    After(u64),
}

/// What a client asked to watch.
#[derive(Debug)]
pub(crate) struct WatchRequest {
    pub(crate) resource: &'static ResourceType,
    pub(crate) filter: Filter,
    pub(crate) form: Form,
    pub(crate) start: Start,
    pub(crate) bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
}

/// An open watch.
#[derive(Debug)]
pub(crate) struct Watch {
    request: WatchRequest,
    store: Store,
    news: watch::Receiver<u64>,
    control: watch::Receiver<Control>,
    closes: u64,
    initial: std::vec::IntoIter<Arc<Stored>>,
    initial_end: bool,
    cursor: u64,
    deadline: Option<Instant>,
    bookmark_interval: Duration,
    next_bookmark: Option<Instant>,
    ended: bool,
}

enum Wake {
    News,
    Bookmark,
    End,
}

// === impl Watch ===

impl Watch {
    pub(crate) fn open(
        request: WatchRequest,
        store: &Store,
        control: watch::Receiver<Control>,
        bookmark_interval: Duration,
    ) -> Self {
        // Subscribed before anything is read, so that no change falls between the two.
        let news = store.subscribe(request.resource);
        let (cursor, initial, end) = match request.start {
            Start::After(revision) => (revision, Vec::new(), false),
            Start::Current { end_bookmark } => {
                let (revision, objects) = store.list_stored(request.resource, request.filter.namespace.as_deref());
                (revision, objects, end_bookmark)
            }
        };
        let closes = control.borrow().closes;
        let deadline = request.timeout.map(|timeout| Instant::now() + timeout);
        let mut watch = Self {
            request,
            store: store.clone(),
            news,
            control,
            closes,
            initial: initial.into_iter(),
            initial_end: end,
            cursor,
            deadline,
            bookmark_interval,
            next_bookmark: None,
            ended: false,
        };
        watch.plan_bookmark();
        watch
    }

    /// The next events, one or more lines; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(bytes) = self.initial_events() {
            return Some(bytes);
        }
        loop {
            self.news.borrow_and_update();
            if !self.control.borrow_and_update().paused {
                match self.new_events() {
                    Ok(bytes) if !bytes.is_empty() => return Some(bytes),
                    Ok(_) => {}
                    Err(error) => {
                        self.ended = true;
                        return Some(line("ERROR", error.status().to_string().as_bytes()));
                    }
                }
            }
            match self.wake().await {
                Wake::News => {}
                Wake::Bookmark => {
                    self.plan_bookmark();
                    if let Some(bytes) = self.bookmark() {
                        return Some(bytes);
                    }
                }
                Wake::End => {
                    self.ended = true;
                    return None;
                }
            }
        }
    }

    fn initial_events(&mut self) -> Option<Bytes> {
        let mut bytes = BytesMut::new();
        for stored in self.initial.by_ref() {
            if self.request.filter.matches(&stored.object) {
                append_line(&mut bytes, "ADDED", &self.request.form.encode(self.request.resource, &stored));
            }
            if bytes.len() > 64 * 1024 {
                return Some(bytes.freeze());
            }
        }
        if std::mem::take(&mut self.initial_end) {
            let bookmark = self.request.form.bookmark(self.request.resource, self.cursor, true);
            append_line(&mut bytes, "BOOKMARK", bookmark.to_string().as_bytes());
        }
        (!bytes.is_empty()).then(|| bytes.freeze())
    }

    fn new_events(&mut self) -> Result<Bytes, ApiError> {
        let mut bytes = BytesMut::new();
        loop {
            let (entries, read) = self.store.changes_after(self.request.resource, self.cursor, BATCH)?;
            self.cursor = read;
            for entry in &entries {
                self.append_event(&mut bytes, entry);
            }
            if entries.len() < BATCH || !bytes.is_empty() {
                return Ok(bytes.freeze());
            }
        }
    }

    /// What a change looks like through the selector: an object that enters is added, one that leaves is deleted.
    fn append_event(&self, bytes: &mut BytesMut, entry: &Entry) {
        let filter = &self.request.filter;
        let (form, resource) = (self.request.form, self.request.resource);
        let before = entry.before.as_ref().filter(|before| filter.matches(&before.object));
        let now = entry.change != Change::Deleted && filter.matches(&entry.now.object);
        match (before, now) {
            (None, false) => {}
            (None, true) => append_line(bytes, "ADDED", &form.encode(resource, &entry.now)),
            (Some(_), true) => append_line(bytes, "MODIFIED", &form.encode(resource, &entry.now)),
            (Some(_), false) if entry.change == Change::Deleted => {
                append_line(bytes, "DELETED", &form.encode(resource, &entry.now));
            }
            (Some(before), false) => {
                let left = at_revision(&before.object, entry.now.revision);
                append_line(bytes, "DELETED", form.value(resource, &left).to_string().as_bytes());
            }
        }
    }

    fn bookmark(&self) -> Option<Bytes> {
        let early = self.control.borrow().paused || self.cursor > self.store.revision();
        if early {
            return None;
        }
        let bookmark = self.request.form.bookmark(self.request.resource, self.cursor, false);
        Some(line("BOOKMARK", bookmark.to_string().as_bytes()))
    }

    fn plan_bookmark(&mut self) {
        if !self.request.bookmarks {
            return;
        }
        let now = Instant::now();
        let mut next = now + self.bookmark_interval;
        if let Some(deadline) = self.deadline {
            let last = deadline.checked_sub(FINAL_BOOKMARKS).unwrap_or(now);
            next = if last > now { next.min(last) } else { next.min(now + Duration::from_secs(1)) };
        }
        self.next_bookmark = Some(next).filter(|next| self.deadline.is_none_or(|deadline| *next < deadline));
    }

    async fn wake(&mut self) -> Wake {
        let closes = self.closes;
        let bookmark = self.next_bookmark;
        let deadline = self.deadline;
        let paused = self.control.borrow().paused;
        tokio::select! {
            biased;
            () = at(deadline) => Wake::End,
            changed = self.control.changed() => match changed {
                Ok(()) if self.control.borrow().closes == closes => Wake::News,
                _ => Wake::End,
            },
            changed = self.news.changed(), if !paused => if changed.is_ok() { Wake::News } else { Wake::End },
            () = at(bookmark) => Wake::Bookmark,
        }
    }
}

/// Waits for a moment, or for ever if there's none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

fn at_revision(value: &Value, revision: u64) -> Value {
    let mut value = value.clone();
    object::meta_mut(&mut value).insert("resourceVersion".to_owned(), json!(revision.to_string()));
    value
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    append_line(&mut bytes, kind, object);
    bytes.freeze()
}

fn append_line(bytes: &mut BytesMut, kind: &str, object: &[u8]) {
    bytes.reserve(object.len() + kind.len() + 24);
    bytes.extend_from_slice(b"{\"type\":\"");
    bytes.extend_from_slice(kind.as_bytes());
    bytes.extend_from_slice(b"\",\"object\":");
    bytes.extend_from_slice(object);
    bytes.extend_from_slice(b"}\n");
}
