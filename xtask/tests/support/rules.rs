//! RBAC as the API server applies it: which request the rules of a file of roles allow, and which rules were used.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};

use super::typed::object;

/// A request as RBAC sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    /// A path that is no resource's, such as `/version`.
    pub(crate) path: Option<String>,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One thing that may be done.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Permission {
    /// Where: a namespace, or everywhere.
    namespace: Option<String>,
    verb: String,
    /// `group/resource`, or a path.
    what: String,
    /// Which object; any if none.
    name: Option<String>,
}

/// Everything that may be done.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) permissions: BTreeSet<Permission>,
}

// === impl Rules ===

impl Rules {
    /// The rules of a file with one ClusterRole and perhaps one Role.
    pub(crate) fn of(roles: &str) -> Self {
        let everywhere: ClusterRole = object(roles, "ClusterRole");
        let everywhere = permissions(None, &everywhere.rules.unwrap());
        let here = roles.contains("kind: Role\n").then(|| {
            let here: Role = object(roles, "Role");
            permissions(here.metadata.namespace.as_deref(), &here.rules.unwrap())
        });
        Self { permissions: everywhere.into_iter().chain(here.into_iter().flatten()).collect() }
    }

    /// What allows a request, if anything does.
    pub(crate) fn allow(&self, asked: &Asked) -> Option<&Permission> {
        self.permissions.iter().find(|permission| permission.covers(asked))
    }
}

// === impl Permission ===

impl Permission {
    pub(crate) fn is_to_read(&self) -> bool {
        ["get", "list", "watch"].contains(&self.verb.as_str())
    }

    fn covers(&self, asked: &Asked) -> bool {
        let what = asked.path.clone().unwrap_or_else(|| format!("{}/{}", asked.group, asked.resource));
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == asked.namespace);
        let this = self.name.as_ref().is_none_or(|name| *name == asked.name);
        here && this && self.verb == asked.verb && self.what == what
    }
}

fn permissions(namespace: Option<&str>, rules: &[PolicyRule]) -> Vec<Permission> {
    let mut all = Vec::new();
    for rule in rules {
        let some = |texts: &Option<Vec<String>>| texts.clone().unwrap_or_default();
        let mut things = some(&rule.non_resource_urls);
        for group in some(&rule.api_groups) {
            things.extend(some(&rule.resources).iter().map(|resource| format!("{group}/{resource}")));
        }
        let names = match some(&rule.resource_names) {
            names if names.is_empty() => vec![None],
            names => names.into_iter().map(Some).collect(),
        };
        for (what, verb) in things.iter().flat_map(|what| rule.verbs.iter().map(move |verb| (what, verb))) {
            all.extend(names.iter().map(|name| Permission {
                namespace: namespace.map(str::to_owned),
                verb: verb.clone(),
                what: what.clone(),
                name: name.clone(),
            }));
        }
    }
    all
}
