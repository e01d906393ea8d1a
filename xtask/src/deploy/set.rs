//! All manifests of one variant, in the order in which they are applied.

use anyhow::Result;

use super::manifest::{Document, Manifest, Purpose};
use super::options::Mode;
use super::variant::Variant;
use super::{
    access, config_map, deployment, disruption, kustomization, monitoring, network, pacs_pod, priority, shadow, tenants,
};

/// See the [module](self).
pub(super) fn manifests(variant: &Variant) -> Result<Vec<Manifest>> {
    if variant.mode == Mode::Shadow {
        return of_shadow(variant);
    }
    let mut manifests = vec![config_map::manifest(variant)?];
    let (roles, bindings) = (access::roles(variant)?, access::bindings(variant)?);
    // Before the watcher that relies on it.
    let gate = variant.gate().map(|gate| gate.manifest(variant)).transpose()?;
    let tenants = variant.tenants.as_ref().map(|_| tenants::manifest(variant)).transpose()?;
    if variant.in_pacs_pod() {
        manifests.extend([roles, bindings].into_iter().chain(gate).chain(tenants));
        manifests.push(pacs_pod::manifest(variant)?);
    } else {
        manifests.extend([access::service_account(variant)?, roles, bindings].into_iter().chain(gate).chain(tenants));
        manifests.extend([network::manifest(variant)?, priority::manifest()?, deployment::manifest(variant)?]);
        if !variant.in_memory() {
            manifests.push(disruption::manifest(variant)?);
        }
    }
    manifests.extend([monitoring::service(variant)?, monitoring::monitoring(variant)?]);
    manifests.push(kustomization::manifest(variant, &manifests)?);
    Ok(manifests)
}

fn of_shadow(variant: &Variant) -> Result<Vec<Manifest>> {
    let mut manifests = vec![
        access::service_account(variant)?,
        shadow::roles()?,
        shadow::bindings(variant)?,
        network::manifest(variant)?,
        deployment::manifest(variant)?,
        monitoring::service(variant)?,
        monitoring::monitoring(variant)?,
    ];
    manifests.push(kustomization::manifest(variant, &manifests)?);
    Ok(manifests)
}

/// The objects among `manifests` that can be applied whole.
pub(super) fn objects(manifests: &[Manifest]) -> impl Iterator<Item = (Purpose, &Document)> {
    let whole = |purpose| matches!(purpose, Purpose::Settings | Purpose::Own | Purpose::Access | Purpose::Monitoring);
    let manifests = manifests.iter().filter(move |manifest| whole(manifest.purpose));
    manifests.flat_map(|manifest| manifest.documents.iter().map(|document| (manifest.purpose, document)))
}

/// Documents as one stream.
pub(super) fn stream<'a>(documents: impl Iterator<Item = &'a Document>) -> String {
    documents.map(|document| document.text.as_str()).collect::<Vec<_>>().join("---\n")
}
