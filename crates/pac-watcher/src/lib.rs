//! The watcher: admits PipelineRuns of a cluster under their Repository's limit.
