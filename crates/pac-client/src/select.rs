//! `--selector`: the API server says which objects have the labels, since it knows how a selector is read, and this user's rights.

use std::collections::HashSet;
use std::fmt::Debug;

use kube::Resource;
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;

use crate::Failure;
use crate::cluster::Cluster;

/// `namespace/name` of the objects of this kind that `selector` selects, in `namespace` or in all.
pub(crate) async fn selected<K>(
    cluster: &Cluster,
    namespace: Option<&str>,
    selector: &str,
) -> Result<HashSet<String>, Failure>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned,
{
    let objects: Api<K> = match namespace {
        Some(namespace) => cluster.api(namespace),
        None => Api::all(cluster.client().clone()),
    };
    let what = format!("{} with {selector}", K::plural(&()));
    let labelled = ListParams::default().labels(selector);
    let found = cluster.ask(&what, objects.list_metadata(&labelled)).await?;
    let found = found.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 400 => {
            Failure::Usage(format!("--selector {selector:?}: {}", status.message))
        }
        error => cluster.explain(&error),
    })?;
    let path = |object: kube::core::PartialObjectMeta<K>| {
        Some(format!("{}/{}", object.metadata.namespace?, object.metadata.name?))
    };
    Ok(found.items.into_iter().filter_map(path).collect())
}
