//! Who calls, and what they may see: asked of the API server, and remembered for a moment.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use moka::sync::Cache;
use pac_kube::error::with_causes;
use pac_metrics::catalogue;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::warn;

use crate::budget::Budget;
use crate::caller::{Fingerprint, Fingerprints, Token};
use crate::refusal::Refusal;

/// Callers, and rights of theirs, that are remembered at most.
const CALLERS: u64 = 4_096;
const RIGHTS: u64 = 16_384;
/// How long the API server may take to say who somebody is, with the time to wait for others' questions.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions to the API server at one time.
const QUESTIONS: usize = 16;
/// For how long somebody whom the API server knew doesn't count as a stranger.
const KNOWN_FOR: Duration = Duration::from_secs(3600);
/// How often strangers may be asked about, all together: whoever makes up tokens has the API server asked no more than this, and
/// keeps out none of those who are known.
const STRANGERS: (Duration, u32) = (Duration::from_millis(50), 40);
/// How often one caller may ask.
const EACH: (Duration, u32) = (Duration::from_millis(100), 40);

/// Asks the API server, and remembers.
pub(crate) struct Access {
    tokens: Api<TokenReview>,
    rights: Api<SubjectAccessReview>,
    audiences: Vec<String>,
    fingerprints: Fingerprints,
    questions: Semaphore,
    strangers: Budget,
    /// Who has a token; nobody, if it is none.
    callers: Cache<Fingerprint, Option<Arc<Caller>>>,
    known: Cache<Fingerprint, ()>,
    paces: Cache<Fingerprint, Arc<Budget>>,
    allowed: Cache<(Fingerprint, Scope), bool>,
    /// Why the last question came to nothing, if it did: each wording is logged once.
    problem: Mutex<Option<String>>,
}

/// Somebody whom the API server knows.
#[derive(Debug)]
pub(crate) struct Caller {
    fingerprint: Fingerprint,
    user: UserInfo,
}

/// What somebody asks to see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Every namespace.
    All,
    /// One.
    Namespace(Box<str>),
}

/// What somebody may see, by the API server's word. Nothing else makes one.
#[derive(Debug)]
pub(crate) struct Visible(Scope);

// === impl Visible ===

impl Visible {
    /// Whether what is in this namespace may be seen.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        match &self.0 {
            Scope::All => true,
            Scope::Namespace(visible) => **visible == *namespace,
        }
    }

    /// Whether `path` (`namespace/name`) may be seen.
    pub(crate) fn covers_path(&self, path: &str) -> bool {
        path.split_once('/').is_some_and(|(namespace, _)| self.covers(namespace))
    }

    #[cfg(test)]
    pub(crate) fn of_namespace(namespace: &str) -> Self {
        Self(Scope::Namespace(namespace.into()))
    }
}

// === impl Caller ===

impl Caller {
    /// For the log of this watcher.
    pub(crate) fn name(&self) -> &str {
        self.user.username.as_deref().unwrap_or_default()
    }
}

// === impl Access ===

impl Access {
    /// None if the system has no randomness.
    pub(crate) fn new(client: &Client, audiences: Vec<String>, holds: Duration) -> Option<Self> {
        fn cache<K: std::hash::Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static>(
            capacity: u64,
            lasts: Duration,
        ) -> Cache<K, V> {
            Cache::builder().max_capacity(capacity).time_to_live(lasts).build()
        }
        Some(Self {
            tokens: Api::all(client.clone()),
            rights: Api::all(client.clone()),
            audiences,
            fingerprints: Fingerprints::new()?,
            questions: Semaphore::new(QUESTIONS),
            strangers: Budget::new(STRANGERS.0, STRANGERS.1),
            callers: cache(CALLERS, holds),
            known: cache(CALLERS, KNOWN_FOR),
            paces: Cache::builder().max_capacity(CALLERS).time_to_idle(Duration::from_secs(60)).build(),
            allowed: cache(RIGHTS, holds),
            problem: Mutex::default(),
        })
    }

    /// Who shows this token, to ask for a file of the page or for an answer. A file counts for nothing in a known caller's pace: a page
    /// of which one is refused says nothing for ever.
    pub(crate) async fn caller(&self, token: &Token<'_>, is_for_file: bool) -> Result<Arc<Caller>, Refusal> {
        let fingerprint = self.fingerprints.of(token);
        let known = self.callers.get(&fingerprint);
        let is_free = is_for_file && matches!(known, Some(Some(_)));
        let pace = self.paces.get_with(fingerprint, || Arc::new(Budget::new(EACH.0, EACH.1)));
        if !is_free && !pace.take() {
            return Err(Refusal::TooOften);
        }
        if let Some(known) = known {
            return known.ok_or(Refusal::BadToken);
        }
        if !self.known.contains_key(&fingerprint) && !self.strangers.take() {
            return Err(Refusal::TooOften);
        }
        let caller = self.ask_who(token).await?.map(|user| Arc::new(Caller { fingerprint, user }));
        if caller.is_some() {
            self.known.insert(fingerprint, ());
        }
        self.callers.insert(fingerprint, caller.clone());
        caller.ok_or(Refusal::BadToken)
    }

    /// What `caller` may see of what is asked for.
    pub(crate) async fn visible(&self, caller: &Caller, scope: Scope) -> Result<Visible, Refusal> {
        let key = (caller.fingerprint, scope.clone());
        let is_allowed = match self.allowed.get(&key) {
            Some(known) => known,
            None => {
                let is_allowed = self.ask_whether(caller, &scope).await?;
                self.allowed.insert(key, is_allowed);
                is_allowed
            }
        };
        match (is_allowed, &scope) {
            (true, _) => Ok(Visible(scope)),
            (false, Scope::All) => Err(Refusal::ForbiddenAll),
            (false, Scope::Namespace(_)) => Err(Refusal::Forbidden),
        }
    }

    async fn ask_who(&self, token: &Token<'_>) -> Result<Option<UserInfo>, Refusal> {
        let spec = TokenReviewSpec { token: token.reveal().to_owned(), audiences: Some(self.audiences.clone()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answered = self.ask("token", self.tokens.create(&PostParams::default(), &review)).await?;
        let status = answered.status.unwrap_or_default();
        // Who doesn't say for whom the token is has not looked.
        let is_for_us = status.audiences.iter().flatten().any(|audience| self.audiences.contains(audience));
        let user = status.user.filter(|user| user.username.as_ref().is_some_and(|name| !name.is_empty()));
        let user = user.filter(|_| status.authenticated == Some(true) && is_for_us);
        catalogue::TENANT_REVIEWS.count(&["token", if user.is_some() { "yes" } else { "no" }], 1);
        Ok(user)
    }

    async fn ask_whether(&self, caller: &Caller, scope: &Scope) -> Result<bool, Refusal> {
        let (namespace, verb) = match scope {
            Scope::All => (None, "list"),
            Scope::Namespace(namespace) => (Some(namespace.to_string()), "get"),
        };
        let what = ResourceAttributes {
            namespace,
            verb: Some(verb.to_owned()),
            group: Some("tekton.dev".to_owned()),
            resource: Some("pipelineruns".to_owned()),
            ..ResourceAttributes::default()
        };
        let user = caller.user.clone();
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            groups: user.groups,
            uid: user.uid,
            extra: user.extra,
            resource_attributes: Some(what),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answered = self.ask("access", self.rights.create(&PostParams::default(), &review)).await?;
        let is_allowed = answered.status.is_some_and(|status| status.allowed && status.denied != Some(true));
        catalogue::TENANT_REVIEWS.count(&["access", if is_allowed { "yes" } else { "no" }], 1);
        Ok(is_allowed)
    }

    fn problem(&self) -> MutexGuard<'_, Option<String>> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(
        &self,
        what: &'static str,
        question: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Refusal> {
        let asked = timeout(PATIENCE, async {
            let _turn = self.questions.acquire().await;
            question.await
        });
        let why = match asked.await {
            Ok(Ok(answer)) => {
                *self.problem() = None;
                return Ok(answer);
            }
            Ok(Err(error)) => with_causes(&error),
            Err(_) => "no answer in time".to_owned(),
        };
        catalogue::TENANT_REVIEWS.count(&[what, "failed"], 1);
        let mut problem = self.problem();
        if problem.as_ref() != Some(&why) {
            warn!("the API server doesn't say who tenants are and what they may see ({what} review): {why}");
            *problem = Some(why);
        }
        Err(Refusal::NobodyToAsk)
    }
}
