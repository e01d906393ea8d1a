//! `charts/`: the Helm chart, made of the same manifests as everything else.
//!
//! Each manifest is made for every choice there is of mode, store and gate ([`cases`]), with marks where a value of the chart
//! belongs ([`holes`]), and all of them are laid over one another: a line that only some choices have is put under the condition
//! for those ([`merge`]). So nothing is in the chart that isn't in the manifests, and a test has Helm render it and compares. What
//! Helm alone has is in [`values`].

mod cases;
mod holes;
mod merge;
mod values;

use std::collections::BTreeMap;

use anyhow::Result;

use cases::{Case, Cases};

use super::live::Live;
use super::manifest::{Manifest, Purpose};
use super::set::manifests;
use super::tenants;
use super::variant::Variant;

/// Where it is, below the folder of the charts.
const NAME: &str = "pac-concurrency-watcher";

/// One document of one file, in every case that has it.
struct Overlay {
    file: &'static str,
    /// Its lines by case.
    lines: BTreeMap<Case, Vec<String>>,
}

/// Every file by its path below the folder of the charts.
pub(super) fn files() -> Result<BTreeMap<String, String>> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for overlay in overlays()? {
        let path = format!("{NAME}/templates/{}", overlay.file);
        let text = files.entry(path).or_insert_with(|| values::HEAD.to_owned());
        let template = holes::filled(&merge::template(&overlay.lines)?);
        *text += &match overlay.file {
            // For those who have its operator.
            "monitoring.yaml" => format!("{{{{- if .Values.monitoring.enabled }}}}\n---\n{template}{{{{- end }}}}\n"),
            _ => format!("---\n{template}"),
        };
    }
    let (plain, _) = Variant::of(&cases::options(Case::plain()), &Live::default())?;
    let tenants = tenants::manifest(&plain)?;
    let documents = tenants.documents.iter().map(|document| Ok(format!("---\n{}", holes::filled(&document.text))));
    let documents = documents.collect::<Result<String>>()?;
    let text = format!(
        "{}{{{{- if and (.Values.tenants).enabled (ne $mode \"shadow\") }}}}\n{documents}{{{{- end }}}}\n",
        values::HEAD
    );
    files.insert(format!("{NAME}/templates/{}", tenants.file), text);
    files.extend(values::files(&plain)?.into_iter().map(|(file, text)| (format!("{NAME}/{file}"), text)));
    Ok(files)
}

/// The documents in the order in which they first come.
fn overlays() -> Result<Vec<Overlay>> {
    let mut overlays: Vec<(String, Overlay)> = Vec::new();
    for case in Cases::all() {
        let (variant, _) = Variant::of(&cases::options(case), &Live::default())?;
        for (manifest, document) in documents(&manifests(&variant)?) {
            let (name, text) = holes::marked(&document.text)?;
            let key = format!("{} {name}", manifest.file);
            let lines = text.lines().map(str::to_owned).collect();
            match overlays.iter_mut().find(|(known, _)| *known == key) {
                Some((_, overlay)) => drop(overlay.lines.insert(case, lines)),
                None => overlays.push((key, Overlay { file: manifest.file, lines: BTreeMap::from([(case, lines)]) })),
            }
        }
    }
    Ok(overlays.into_iter().map(|(_, overlay)| overlay).collect())
}

fn documents(manifests: &[Manifest]) -> impl Iterator<Item = (&Manifest, &super::manifest::Document)> {
    let ours = |purpose| matches!(purpose, Purpose::Own | Purpose::Access | Purpose::Monitoring);
    let manifests = manifests.iter().filter(move |manifest| ours(manifest.purpose));
    manifests.flat_map(|manifest| manifest.documents.iter().map(move |document| (manifest, document)))
}
