//! The namespace a command is about.

use pac_concurrency::RepositoryKey;

use crate::Failure;
use crate::args::{Name, Reach, Scope};
use crate::cluster;
use crate::say;

/// Which namespaces are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    All,
    /// The one that was asked for.
    Named(String),
    /// The kubeconfig's, since none was.
    Implied(String),
}

// === impl Scope ===

impl Scope {
    /// Of which namespaces a list is; `first` if it is the first of several, in which all is said that should be known.
    pub(crate) async fn listed(&self, reach: &Reach, first: bool) -> Result<Listed, Failure> {
        Ok(match &self.namespace {
            _ if self.all_namespaces => Listed::All,
            Some(namespace) => {
                if first && *namespace == reach.pac_namespace {
                    say::note(
                        "--namespace is the namespace that is asked about, and here it is PAC's own. --all-namespaces asks \
                         about all; where the watcher is says --pac-namespace",
                    );
                }
                Listed::Named(namespace.clone())
            }
            None => match cluster::config(reach).await {
                Ok(config) => Listed::Implied(config.default_namespace),
                // A watcher that is asked straight takes no kubeconfig, and without one there is no namespace to begin with.
                Err(_) if reach.admin_url.is_some() => Listed::All,
                Err(failure) => return Err(failure),
            },
        })
    }

    /// The Repository, or the PipelineRun, that is meant by `name`: both are named alike.
    pub(crate) async fn key(&self, reach: &Reach, name: &Name) -> Result<RepositoryKey, Failure> {
        let namespace = match (&name.namespace, &self.namespace) {
            (Some(one), Some(other)) if one != other => {
                return Err(Failure::Usage(format!(
                    "{one}/{} has its namespace with it, and --namespace says {other}. If {other} is PAC's namespace, say \
                     --pac-namespace {other}",
                    name.name
                )));
            }
            (Some(namespace), _) | (None, Some(namespace)) => namespace.clone(),
            (None, None) => cluster::config(reach).await.map(|config| config.default_namespace).map_err(|failure| {
                let name = &name.name;
                Failure::Usage(format!(
                    "of which namespace is {name}? Say --namespace or namespace/{name}: {}",
                    failure.why()
                ))
            })?,
        };
        RepositoryKey::new(&namespace, &name.name)
            .map_err(|error| Failure::Usage(format!("--namespace and {}: {error}", name.name)))
    }
}

// === impl Listed ===

impl Listed {
    /// The one namespace, if it is one.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Named(namespace) | Self::Implied(namespace) => Some(namespace),
        }
    }
}
