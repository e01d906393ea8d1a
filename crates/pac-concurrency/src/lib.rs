//! Limits, slots and queues of PipelineRuns: the rule, the driver contract and the manager.
