//! Which resource, namespace and object a path names, and the query beside it.

use percent_encoding::percent_decode_str;

use crate::{kubernetes::Kubernetes, resource::ResourceType};

/// A path below a resource.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) resource: &'static ResourceType,
    /// Absent for cluster-wide requests.
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: bool,
    pub(super) scale: bool,
    /// `kubectl create token`.
    pub(super) token: bool,
}

/// Query parameters.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

// === impl Target ===

impl Target {
    /// `None` if no resource is served there.
    pub(super) fn parse(path: &str, kubernetes: Kubernetes) -> Option<Self> {
        let parts: Vec<String> = path
            .trim_matches('/')
            .split('/')
            .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        match rest {
            ["namespaces", namespace, plural, rest @ ..] if !matches!(*plural, "status" | "finalize") => {
                let resource = kubernetes.find(group, version, plural).filter(|resource| resource.namespaced)?;
                Self::below(resource, Some(namespace), rest)
            }
            [plural, rest @ ..] => {
                let resource = kubernetes.find(group, version, plural)?;
                // An object with a namespace has no path without it.
                let whole = rest.is_empty() || !resource.namespaced;
                whole.then(|| Self::below(resource, None, rest)).flatten()
            }
            [] => None,
        }
    }

    fn below(resource: &'static ResourceType, namespace: Option<&str>, rest: &[&str]) -> Option<Self> {
        let (name, below) = match rest {
            [] => (None, ""),
            [name] => (Some(*name), ""),
            [name, "status"] if resource.status => (Some(*name), "status"),
            [name, "scale"] if resource.has_scale() => (Some(*name), "scale"),
            [name, "token"] if resource.has_token() => (Some(*name), "token"),
            _ => return None,
        };
        let owned = |text: &str| text.to_owned();
        Some(Self {
            resource,
            namespace: namespace.map(owned),
            name: name.map(owned),
            status: below == "status",
            scale: below == "scale",
            token: below == "token",
        })
    }
}

// === impl Query ===

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }

    pub(super) fn dry_run(&self) -> bool {
        self.get("dryRun").is_some_and(|value| value == "All")
    }
}
