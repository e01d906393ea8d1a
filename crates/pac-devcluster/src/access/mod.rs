//! Who calls, and what they may do: bearer tokens as they are issued and reviewed, and RBAC as it is evaluated.
//!
//! The server itself lets everybody do everything. It answers those who ask it about others, as a real one does: TokenReview,
//! SubjectAccessReview and SelfSubjectAccessReview, and it issues tokens of service accounts. A token that it never issued is nobody's.

mod rbac;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde_json::{Value, json};

pub(crate) use self::rbac::{Attributes, allowed};
use crate::store::Store;

/// The audience of the API server itself: whose tokens name none are for it.
pub(crate) const API_AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// The tokens there are; clones share them.
#[derive(Clone, Debug)]
pub struct Access {
    store: Store,
    issued: Arc<Mutex<BTreeMap<String, Issued>>>,
}

#[derive(Clone, Debug)]
struct Issued {
    user: Identity,
    audiences: Vec<String>,
    until: Instant,
    /// Namespace and name of the service account whose token it is.
    account: Option<(String, String)>,
}

/// Somebody, as RBAC knows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) groups: BTreeSet<String>,
}

// === impl Access ===

impl Access {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, issued: Arc::default() }
    }

    /// A token of a person of these groups, as from an OpenID provider that the API server trusts: it is for the API server.
    pub fn token_of_user(&self, name: &str, groups: &[&str], lasts: Duration) -> String {
        let groups = groups.iter().copied().chain(["system:authenticated"]).map(str::to_owned).collect();
        let user = Identity { name: name.to_owned(), uid: String::new(), groups };
        self.issue(Issued { user, audiences: Vec::new(), until: Instant::now() + lasts, account: None })
    }

    /// A token of a service account for these audiences, or for the API server if there are none; nothing if there is no such account.
    pub fn token_of_account(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[String],
        lasts: Duration,
    ) -> Option<String> {
        let account = self.store.get("serviceaccounts", namespace, name)?;
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
        let user = Identity {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            uid: crate::object::meta_text(&account, "uid").to_owned(),
            groups: groups.map(str::to_owned).into(),
        };
        let account = Some((namespace.to_owned(), name.to_owned()));
        Some(self.issue(Issued { user, audiences: audiences.to_vec(), until: Instant::now() + lasts, account }))
    }

    fn issue(&self, issued: Issued) -> String {
        let token = format!("{0}.{1}.{1}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        self.issued.lock().insert(token.clone(), issued);
        token
    }

    /// Whose token this is, and for which of `wanted` it is good; or why it is nobody's.
    pub(crate) fn authenticate(&self, token: &str, wanted: &[String]) -> Result<(Identity, Vec<String>), String> {
        let invalid = |why: &str| Err(format!("[invalid bearer token, {why}]"));
        let Some(issued) = self.issued.lock().get(token).cloned() else {
            return Err("invalid bearer token".to_owned());
        };
        if issued.until <= Instant::now() {
            return invalid("service account token has expired");
        }
        if let Some((namespace, name)) = &issued.account {
            let account = self.store.get("serviceaccounts", namespace, name);
            if account.is_none_or(|account| crate::object::meta_text(&account, "uid") != issued.user.uid) {
                return invalid("service account token has been invalidated");
            }
        }
        let api = || vec![API_AUDIENCE.to_owned()];
        let own = if issued.audiences.is_empty() { api() } else { issued.audiences };
        let wanted = if wanted.is_empty() { api() } else { wanted.to_vec() };
        let common: Vec<String> = wanted.iter().filter(|audience| own.contains(audience)).cloned().collect();
        if common.is_empty() {
            let (own, wanted) = (quoted(&own), quoted(&wanted));
            return invalid(&format!("token audiences {own} is invalid for the target audiences {wanted}"));
        }
        Ok((issued.user, common))
    }
}

/// As Go prints a list of strings.
fn quoted(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(" "))
}

// === impl Identity ===

impl Identity {
    /// As `status.user` of a TokenReview has it.
    pub(crate) fn as_json(&self) -> Value {
        let mut user = json!({ "username": self.name, "groups": self.groups });
        if !self.uid.is_empty() {
            user["uid"] = json!(self.uid);
        }
        user
    }
}
