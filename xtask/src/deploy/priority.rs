//! The watcher's place among the pods when a node is full.

use anyhow::Result;
use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::manifest::{Document, Manifest, Purpose};
use super::names::{WATCHER, cluster_wide};

/// Before workloads, which have 0 unless they say otherwise; far behind Kubernetes' own classes, which begin at two
/// thousand million.
const VALUE: i32 = 1_000_000;

/// The file.
pub(super) fn manifest() -> Result<Manifest> {
    let class = PriorityClass {
        metadata: cluster_wide(WATCHER),
        value: Some(VALUE),
        description: Some("The watcher that admits PipelineRuns: without it, none with a limit starts.".to_owned()),
        ..PriorityClass::default()
    };
    let story = "The runs that the watcher starts must not push it out of its node.".to_owned();
    let documents = vec![Document::of(&class)?];
    Ok(Manifest { file: "priority-class.yaml", purpose: Purpose::Own, story, documents })
}
