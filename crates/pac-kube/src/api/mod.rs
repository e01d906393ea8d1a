//! The few fields of Kubernetes objects that the watcher reads. The CRDs belong to Tekton and PAC; nothing is generated
//! from these types.

mod fields;
pub mod labels;
mod pipeline_run;
mod readable;
mod repository;

pub use pipeline_run::{Condition, PipelineRun, PipelineRunSpec, PipelineRunStatus};
pub use readable::{Read, Readable, Unreadable};
pub use repository::{Repository, RepositorySpec};
