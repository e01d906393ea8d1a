//! Names of repositories and runs.
//!
//! A key can only be made from text that Kubernetes itself would take as a name, so nothing below this file has to think
//! about separators, white space or control characters in one: `namespace/name` splits in exactly one way.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

/// Longest namespace Kubernetes accepts, in bytes (an RFC 1123 label).
pub const NAMESPACE_MAX: usize = 63;
/// Longest object name Kubernetes accepts, in bytes (an RFC 1123 subdomain).
pub const NAME_MAX: usize = 253;
/// Longest uid taken from anywhere, in bytes. Kubernetes' own have 36.
pub const UID_MAX: usize = 128;

/// Text that can't be a key, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: {why}")]
pub struct KeyError {
    what: &'static str,
    text: String,
    why: &'static str,
}

// === impl KeyError ===

impl KeyError {
    pub(crate) fn holder(text: &str) -> Self {
        Self {
            what: "holder",
            text: text.to_owned(),
            why: "it is empty, too long or has a character holders don't have",
        }
    }
}

/// A namespaced object's name, kept as one shared `namespace/name`.
#[derive(Clone)]
struct Path {
    text: Arc<str>,
    slash: u8,
}

/// A PAC `Repository`, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryKey(Path);

/// A `PipelineRun`, by name **and uid**: a run deleted and created again under its name is another run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    path: Path,
    uid: Arc<str>,
}

// === impl RepositoryKey ===

impl RepositoryKey {
    /// The key of Repository `name` in `namespace`.
    pub fn new(namespace: &str, name: &str) -> Result<Self, KeyError> {
        Path::new("repository", namespace, name).map(Self)
    }

    /// The Repository's namespace.
    pub fn namespace(&self) -> &str {
        self.0.namespace()
    }

    /// The Repository's name within its namespace.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }
}

impl FromStr for RepositoryKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Path::parse("repository", text).map(Self)
    }
}

impl fmt::Display for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RepositoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryKey({self})")
    }
}

// === impl RunKey ===

impl RunKey {
    /// The key of PipelineRun `name` in `namespace` with `uid`.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Result<Self, KeyError> {
        let path = Path::new("run", namespace, name)?;
        check_uid(uid)?;
        Ok(Self { path, uid: uid.into() })
    }

    /// The key of the run stored as `namespace/name` and a uid.
    pub fn parse(path: &str, uid: &str) -> Result<Self, KeyError> {
        let path = Path::parse("run", path)?;
        check_uid(uid)?;
        Ok(Self { path, uid: uid.into() })
    }

    /// The run's namespace.
    pub fn namespace(&self) -> &str {
        self.path.namespace()
    }

    /// The run's name within its namespace.
    pub fn name(&self) -> &str {
        self.path.name()
    }

    /// `namespace/name`, without the uid: what people and logs call the run.
    pub fn path(&self) -> &str {
        &self.path.text
    }

    /// The uid Kubernetes gave this very object.
    pub fn uid(&self) -> &str {
        &self.uid
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

impl fmt::Debug for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunKey({} {})", self.path(), self.uid)
    }
}

// === impl Path ===

impl Path {
    fn new(what: &'static str, namespace: &str, name: &str) -> Result<Self, KeyError> {
        let error = |why| KeyError { what, text: format!("{namespace}/{name}"), why };
        check_part(namespace, NAMESPACE_MAX, false).map_err(error)?;
        check_part(name, NAME_MAX, true).map_err(error)?;
        let slash = u8::try_from(namespace.len()).map_err(|_| error("the namespace is too long"))?;
        // Its length is known, unlike that of anything formatted.
        Ok(Self { text: [namespace, "/", name].concat().into(), slash })
    }

    fn parse(what: &'static str, text: &str) -> Result<Self, KeyError> {
        match text.split_once('/') {
            Some((namespace, name)) => Self::new(what, namespace, name),
            None => Err(KeyError { what, text: text.to_owned(), why: "it has no slash" }),
        }
    }

    fn namespace(&self) -> &str {
        &self.text[..usize::from(self.slash)]
    }

    fn name(&self) -> &str {
        &self.text[usize::from(self.slash) + 1..]
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || self.text == other.text
    }
}

impl Eq for Path {}

impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Ord for Path {
    // By namespace, then name. The joined text says the same if the namespaces are of one length; else it might put `a-b/x` before
    // `a/x`.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.text, &other.text) {
            Ordering::Equal
        } else if self.slash == other.slash {
            self.text.cmp(&other.text)
        } else {
            (self.namespace(), self.name()).cmp(&(other.namespace(), other.name()))
        }
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn check_part(part: &str, longest: usize, dots: bool) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("a part of it is empty");
    }
    if part.len() > longest {
        return Err("a part of it is too long");
    }
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || (dots && byte == b'.');
    if part.bytes().all(allowed) { Ok(()) } else { Err("it has a character that Kubernetes names don't have") }
}

fn check_uid(uid: &str) -> Result<(), KeyError> {
    let error = |why| KeyError { what: "uid", text: uid.chars().take(UID_MAX).collect(), why };
    if uid.is_empty() {
        return Err(error("it is empty"));
    }
    if uid.len() > UID_MAX {
        return Err(error("it is too long"));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if uid.bytes().all(allowed) { Ok(()) } else { Err(error("it has a character that uids don't have")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_where_it_was_joined() {
        let key: RepositoryKey = "team-a/repo.one".parse().unwrap();
        assert_eq!((key.namespace(), key.name(), key.as_str()), ("team-a", "repo.one", "team-a/repo.one"));
    }

    #[test]
    fn takes_names_of_maximal_length() {
        let key = RunKey::new(&"n".repeat(63), &"r".repeat(253), &"u".repeat(36)).unwrap();
        assert_eq!(key.path().len(), 317);
    }

    #[test]
    fn refuses_what_kubernetes_would() {
        for text in ["", "/", "a", "a/", "/b", "a/b/c", "a/B", "a/ b", "a/b\n", "a.b/c", "ä/b"] {
            assert!(text.parse::<RepositoryKey>().is_err(), "{text:?}");
        }
        assert!(RepositoryKey::new(&"n".repeat(64), "r").is_err());
        assert!(RepositoryKey::new("n", &"r".repeat(254)).is_err());
        assert!(RunKey::new("a", "b", "").is_err());
        assert!(RunKey::new("a", "b", "x/y").is_err());
    }

    #[test]
    fn a_recreated_run_is_another_run() {
        assert_ne!(RunKey::new("a", "b", "1").unwrap(), RunKey::new("a", "b", "2").unwrap());
    }

    #[test]
    fn orders_by_namespace_first() {
        let keys = ["a/x", "a/y", "a-b/x", "b/a", "b/a-b"].map(|text| text.parse::<RepositoryKey>().unwrap());
        assert!(keys.is_sorted());
    }
}
