//! Names of the labels and annotations shared with Pipelines-as-Code, and the values it gives them.

/// Label and annotation: where a run is in its life. Only the annotation tells: at creation the label already says
/// `started` although the run is pending.
pub const STATE: &str = "pipelinesascode.tekton.dev/state";
/// Annotation: the Repository's name. As a label it may be shortened to 63 characters, and only says that this is a run of
/// PAC's at all.
pub const REPOSITORY: &str = "pipelinesascode.tekton.dev/repository";
/// Annotation: the runs of one webhook event in the order they are to start, `ns/a,ns/b,…`.
pub const EXECUTION_ORDER: &str = "pipelinesascode.tekton.dev/execution-order";
/// The same annotation where it is kept out of sight of PAC's own queue.
pub const EXECUTION_ORDER_KEPT: &str = "concurrency.pipelinesascode.tekton.dev/execution-order";
/// Annotation on a run: when its order was handed back to Pipelines-as-Code's own queue. A write that brings it passes the gate.
pub const HANDED_BACK: &str = "concurrency.pipelinesascode.tekton.dev/handed-back";
/// Annotations by which Pipelines-as-Code tells, when it creates a run, which webhook event the run is of.
pub const EVENT: [&str; 3] = [
    "pipelinesascode.tekton.dev/sha",
    "pipelinesascode.tekton.dev/event-type",
    "pipelinesascode.tekton.dev/pull-request",
];
/// Annotation: `false` until Pipelines-as-Code's watcher has made the Secret with which the run clones its Git repository.
pub const SECRET_CREATED: &str = "pipelinesascode.tekton.dev/secret-created";

/// Annotation: the name the run has in its Git repository, without the letters the API server puts behind it.
pub const ORIGINAL_NAME: &str = "pipelinesascode.tekton.dev/original-prname";
/// Annotation: the trace that the run is of. Pipelines-as-Code writes it at creation if it traces, and Tekton goes by it.
pub const SPAN_CONTEXT: &str = "tekton.dev/pipelinerunSpanContext";

/// Annotation on a Repository: none of its runs is admitted as long as it is there; its value is the reason.
pub const PAUSED: &str = "concurrency.pipelinesascode.tekton.dev/paused";
/// Annotation on a Repository: when its pause ends by itself, as in RFC 3339.
pub const PAUSED_UNTIL: &str = "concurrency.pipelinesascode.tekton.dev/paused-until";
/// Annotation on a Repository: why its last pause was ended.
pub const RESUMED: &str = "concurrency.pipelinesascode.tekton.dev/resumed";
/// Annotation on a run: it counts no more although it runs, by the word of an operator. Its value is the run's uid: what a
/// Git repository writes onto its runs beforehand can't know that, and lifts no limit.
pub const RELEASED: &str = "concurrency.pipelinesascode.tekton.dev/released";
/// Annotation on a run: why an operator released it.
pub const RELEASED_REASON: &str = "concurrency.pipelinesascode.tekton.dev/released-reason";

/// Label by which Kueue holds a run: the LocalQueue it waits in.
pub const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
/// Annotation on a run: the LocalQueue of Kueue's to which it is handed over once it has its slot.
pub const KUEUE_QUEUE: &str = "concurrency.pipelinesascode.tekton.dev/kueue-queue";
/// Annotation on a run: it has its slot, and was handed over to Kueue or to PAC's own queue, which starts it. Its value is the run's
/// uid.
pub const HANDED_OVER: &str = "concurrency.pipelinesascode.tekton.dev/handed-over";

/// Annotation on a run that waits: its place in the queue, from 1 on.
pub const PLACE: &str = "concurrency.pipelinesascode.tekton.dev/place";
/// Annotation on a run that waits: what it waits for, in a sentence.
pub const REASON: &str = "concurrency.pipelinesascode.tekton.dev/reason";
/// Annotation on a run that waits: when it is expected to start, as in RFC 3339.
pub const EXPECTED_START: &str = "concurrency.pipelinesascode.tekton.dev/expected-start";

/// The run waits for a slot.
pub const QUEUED: &str = "queued";
/// The run was started.
pub const STARTED: &str = "started";
/// The run is done and succeeded.
pub const COMPLETED: &str = "completed";
/// The run is done and did not succeed.
pub const FAILED: &str = "failed";

/// Selects the runs of PAC's that aren't history.
pub const SELECTOR: &str =
    "pipelinesascode.tekton.dev/repository,pipelinesascode.tekton.dev/state notin (completed,failed)";
