//! What is asked, and who answers: every path there is.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_state::active_store::System;
use pac_state::health::Part;
use pac_view::http::page;
use pac_view::queue::QueueQuery;
use serde::Serialize;
use tracing::debug;

use crate::access::{Access, Caller, Scope};
use crate::caller::Token;
use crate::refusal::Refusal;
use crate::sealed::Sealed;

/// Where the answers are; the rest is the page.
const ANSWERS: &str = "queue";

/// All that answering takes.
pub(crate) struct Desk {
    pub(crate) access: Access,
    pub(crate) query: QueueQuery,
}

/// A question, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    namespace: Option<String>,
    repository: Option<RepositoryKey>,
    run: Option<RunKey>,
}

pub(crate) type Reply = Response<Full<Bytes>>;

// === impl Question ===

impl Question {
    fn parse(query: &str) -> Result<Self, Refusal> {
        let mut question = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_new = match &*name {
                "namespace" => {
                    // A namespace's name is one that a key takes.
                    RepositoryKey::new(&value, "any").map_err(|_| Refusal::Malformed(NO_NAMESPACE))?;
                    question.namespace.replace(value.into_owned()).is_none()
                }
                "repository" => {
                    let key = value.parse().map_err(|_| Refusal::Malformed("repository: NAMESPACE/NAME"))?;
                    question.repository.replace(key).is_none()
                }
                "run" => {
                    // Any uid will do: only whether the name can be one is asked.
                    let key = RunKey::parse(&value, "0").map_err(|_| Refusal::Malformed("run: NAMESPACE/NAME"))?;
                    question.run.replace(key).is_none()
                }
                _ => true,
            };
            if !is_new {
                return Err(Refusal::Malformed("a parameter is there twice"));
            }
        }
        Ok(question)
    }

    /// What has to be seen for it. Who names a Repository or a run names the namespace by it.
    fn scope(&self) -> Scope {
        let named = self.run.as_ref().map(RunKey::namespace);
        let named = named.or_else(|| self.repository.as_ref().map(RepositoryKey::namespace));
        match named.or(self.namespace.as_deref()) {
            Some(namespace) => Scope::Namespace(namespace.into()),
            None => Scope::All,
        }
    }
}

const NO_NAMESPACE: &str = "namespace: the name of one";

// === impl Desk ===

impl Desk {
    /// The answer to a request, of which the head alone counts.
    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Reply {
        let answered = self.answered(request).await;
        answered.unwrap_or_else(refused)
    }

    async fn answered<B>(&self, request: &Request<B>) -> Result<Reply, Refusal> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Refusal::Method);
        }
        let path = request.uri().path();
        let file = page::FILES.iter().find(|file| file.path == path);
        let caller = self.access.caller(&Token::of(request.headers())?, file.is_some()).await?;
        if let Some(file) = file {
            return Ok(file_of_page(file));
        }
        let answered = self.asked(&caller, path, request.uri().query().unwrap_or_default()).await;
        debug!(caller = caller.name(), path, refused = ?answered.as_ref().err(), "a tenant asked");
        answered
    }

    async fn asked(&self, caller: &Caller, path: &str, query: &str) -> Result<Reply, Refusal> {
        let what = path.strip_prefix('/').and_then(|path| path.strip_prefix(ANSWERS)).ok_or(Refusal::NoSuchPath)?;
        if !["", "/summary", "/plot", "/explain"].contains(&what) {
            return Err(Refusal::NoSuchPath);
        }
        let question = Question::parse(query)?;
        // Nothing is looked at before it is known that it may be.
        let visible = self.access.visible(caller, question.scope()).await?;
        if self.query.health.is_troubled(Part::Start) || matches!(self.query.active_store.system(), System::Starting) {
            return Err(Refusal::Incomplete);
        }
        match (what, &question) {
            ("/summary", _) => json(&visible.overview(&self.query)),
            ("/plot", Question { repository, .. }) => json(&visible.plot(&self.query, repository.as_ref())),
            ("/explain", Question { run: Some(run), .. }) => json(&visible.explain(&self.query, run).await?),
            ("/explain", _) => Err(Refusal::Malformed("run=NAMESPACE/NAME is missing")),
            (_, Question { repository: Some(key), .. }) => json(&visible.queue(&self.query, key).await?),
            _ => json(&visible.queues(&self.query).await),
        }
    }
}

fn json<T: Serialize>(answer: &Sealed<T>) -> Result<Reply, Refusal> {
    let mut reply = Response::new(Full::new(Bytes::from(answer.json()?)));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    sent_to_one(headers);
    Ok(reply)
}

fn file_of_page(file: &page::File) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(file.text_for_tenants(ANSWERS))));
    let headers = file.headers().map(|(name, value)| (name, HeaderValue::from_static(value)));
    reply.headers_mut().extend(headers.map(|(name, value)| (Some(name), value)));
    reply
}

/// What somebody gets instead of an answer.
pub(crate) fn refused(refusal: Refusal) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(format!("{}\n", refusal.text()))));
    *reply.status_mut() = refusal.status();
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.extend(refusal.header().map(|(name, value)| (Some(name), HeaderValue::from_static(value))));
    sent_to_one(headers);
    reply
}

/// It is for whoever asked, and for no cache in between.
fn sent_to_one(headers: &mut http::HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
}

/// The status as a label's value.
pub(crate) fn label(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200 => "200",
        400 => "400",
        401 => "401",
        403 => "403",
        404 => "404",
        405 => "405",
        429 => "429",
        _ => "503",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_about_the_namespace_that_it_names() {
        let scope = |query: &str| Question::parse(query).map(|question| question.scope());
        let one = |namespace: &str| Ok(Scope::Namespace(namespace.into()));
        assert_eq!(scope(""), Ok(Scope::All));
        assert_eq!(scope("other=1"), Ok(Scope::All));
        assert_eq!(scope("namespace=a"), one("a"));
        assert_eq!(scope("repository=b/repo&namespace=a"), one("b"));
        assert_eq!(scope("run=c%2Frun&repository=b/repo&namespace=a"), one("c"));
        for twice in ["namespace=a&namespace=b", "run=a/x&run=b/x", "repository=a/x&repository=a/x"] {
            assert_eq!(scope(twice), Err(Refusal::Malformed("a parameter is there twice")), "{twice}");
        }
        for none in ["namespace=", "namespace=a/b", "namespace=..", "repository=a", "run=a", "run=a/b/c", "run=/"] {
            assert!(matches!(scope(none), Err(Refusal::Malformed(_))), "{none}");
        }
    }
}
