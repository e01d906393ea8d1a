//! `cargo xtask deploy`: the manifests, made of what was chosen.
//!
//! Read `options` (what can be chosen), `live` (what the cluster has), `settings` and `variant` (what both come to, checked), `set`
//! (which manifests there are, in which order), then the manifests themselves, a file each: `config_map`, `secret`, `access`, `pod` with
//! `deployment` or `companion`, `admission`, `network`, `priority`, `disruption`, `monitoring` with `alerts`,
//! `kustomization`; and `dashboard`, for Grafana. All are values of k8s-openapi's types; `manifest` makes YAML of them. `config` is what is committed,
//! `kubectl` the way to a cluster.

mod access;
mod admission;
mod alerts;
mod companion;
mod config;
mod config_map;
mod dashboard;
mod deployment;
mod disruption;
mod folders;
mod kubectl;
mod kustomization;
mod live;
mod manifest;
mod monitoring;
mod names;
mod network;
mod options;
mod pod;
mod priority;
mod secret;
mod set;
mod settings;
mod variant;

use std::path::Path;

use anyhow::Result;

use live::Live;
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
    if is_plain && action.output.is_none() && !action.apply && !action.diff {
        return config::write();
    }
    let live = if action.apply || action.diff { kubectl::live(options.variant.namespace())? } else { Live::default() };
    let (variant, warnings) = Variant::of(&options.variant, &live)?;
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
    let manifests = set::manifests(&variant)?;
    match &action.output {
        _ if action.apply => kubectl::apply(&variant, &live, &manifests, action.force),
        _ if action.diff => kubectl::diff(&variant, &live, &manifests),
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
