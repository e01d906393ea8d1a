//! `cargo xtask deploy`: the manifests, made of what was chosen.
//!
//! Read `options` (what can be chosen), `live` (what the cluster has), `settings`, `gate_choice` and `variant` (what both come to, checked), `set`
//! (which manifests there are, in which order), then the manifests themselves, a file each: `config_map`, `secret`, `access`, `pod` with
//! `deployment` or `pacs_pod`, `shadow`, `gate`, `network`, `priority`, `disruption`, `monitoring` with `alerts`,
//! `kustomization`; `tenants` for the port for tenants (`tenants_port` is what the container has of it), which `config/` has beside them, as `dashboard`, for Grafana. All are values of k8s-openapi's types; `manifest` makes YAML of them. `config` is what is
//! committed; `apply` brings them to a `cluster` by `kubectl`, and takes away what was there before (`former`).

mod access;
mod alerts;
mod apply;
mod chart;
mod cluster;
mod config;
mod config_map;
mod dashboard;
mod deployment;
mod disruption;
mod folders;
mod former;
mod gate;
mod gate_choice;
mod gate_kinds;
mod install_file;
mod kubectl;
mod kustomization;
mod live;
mod manifest;
mod monitoring;
mod names;
mod network;
mod options;
mod pacs_pod;
mod pod;
mod priority;
mod secret;
mod set;
mod settings;
mod shadow;
mod tenants;
mod tenants_port;
mod variant;

use std::path::Path;

use anyhow::Result;

use cluster::Cluster;
use manifest::{Manifest, Purpose};
use options::VariantOptions;
use variant::Variant;

use crate::say;

pub(crate) use options::DeployOptions;
pub(crate) use settings::Unusable;

/// Does what was asked for.
///
/// # Errors
///
/// [`Unusable`] with all that is wrong with it, before anything was done; otherwise what went wrong.
pub(crate) fn deploy(options: &DeployOptions) -> Result<()> {
    let action = &options.action;
    if action.check {
        return config::check();
    }
    let is_plain = options.variant == VariantOptions::default();
    if is_plain && action.output.is_none() && action.install.is_none() && !action.apply && !action.diff {
        return config::write();
    }
    let cluster = (action.apply || action.diff).then(Cluster::ask).transpose()?;
    let live = cluster.as_ref().map(|cluster| cluster.live(options.variant.namespace())).transpose()?;
    let live = live.unwrap_or_default();
    let (variant, warnings) = Variant::of(&options.variant, &live)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    if let Some(cluster) = &cluster {
        return match action.apply {
            true => apply::apply(cluster, &variant, &live, action.force),
            false => apply::diff(cluster, &variant, &live),
        };
    }
    let manifests = set::manifests(&variant)?;
    if let Some(file) = &action.install {
        return install_file::write(file, &variant, &manifests);
    }
    match &action.output {
        Some(folder) if folder != Path::new("-") => write(folder, &manifests),
        _ => print(&manifests),
    }
}

fn write(folder: &Path, manifests: &[Manifest]) -> Result<()> {
    for manifest in manifests {
        let file = folder.join(manifest.file);
        config::write_file(&file, &manifest.text())?;
        say::print(&format!("{}\n", file.display()))?;
    }
    Ok(())
}

/// All that can be applied whole. The others would do harm in a pipe.
fn print(manifests: &[Manifest]) -> Result<()> {
    say::print(&set::stream(set::objects(manifests).map(|(_, document)| document)))?;
    for manifest in manifests.iter().filter(|manifest| manifest.purpose == Purpose::Patch) {
        eprintln!("not printed: {}, which is not to be applied as it is; --output DIR writes it, too", manifest.file);
    }
    Ok(())
}
