//! The statuses that Tekton gives runs, as far as they're looked at.

use serde_json::{Value, json};

use super::{
    duration::in_go,
    step::{Course, Step},
};
use crate::object;

// === impl Step ===

impl Step {
    /// The run's status after this step. `secrets_are_there` says whether all Secrets that it mounts exist.
    pub(super) fn status(self, run: &Value, course: &Course<'_>, secrets_are_there: bool) -> Value {
        let name = object::name(run);
        let mut status = Status::of(run);
        match self {
            Self::Pend => status.goes_on("PipelineRunPending", format!("PipelineRun \"{name}\" is pending")),
            Self::Cancel => {
                status.starts();
                status.ends(false, "Cancelled", format!("PipelineRun \"{name}\" was cancelled"));
            }
            Self::Start => {
                status.starts();
                status.goes_on("Started", String::new());
            }
            Self::Resolve => {
                let message = format!("PipelineRun {}/{name} awaiting remote resource", object::namespace(run));
                status.goes_on("ResolvingPipelineRef", message);
            }
            Self::Claim => {
                status.goes_on("PipelineRunPending", "Waiting for PVC creation to succeed: exceeded quota".to_owned());
            }
            Self::Run if !secrets_are_there => status.fails(course),
            Self::Run => status.goes_on("Running", progress(0, course.tasks() + course.finally_tasks(), 0)),
            Self::Stop => status.stops(run, course),
            Self::EndTasks if course.has_finally() => {
                let reason = status.reason();
                status.runs_finally(&reason, progress(course.tasks(), course.finally_tasks(), 0));
            }
            Self::TimeOutTasks if course.has_finally() => {
                status.runs_finally(
                    "PipelineRunTimeoutRunningFinally",
                    progress(0, course.finally_tasks(), course.tasks()),
                );
            }
            Self::TimeOutTasks => status.times_out_tasks(name, course),
            Self::TimeOut => {
                let message = format!("PipelineRun \"{name}\" failed to finish within \"{}\"", in_go(course.timeout()));
                status.ends(false, "PipelineRunTimeout", message);
            }
            Self::EndTasks | Self::End => status.is_over(name, course),
        }
        status.0
    }
}

struct Status(Value);

// === impl Status ===

impl Status {
    fn of(run: &Value) -> Self {
        Self(run.get("status").cloned().unwrap_or_else(|| json!({})))
    }

    fn starts(&mut self) {
        if self.0.get("startTime").is_none() {
            self.0["startTime"] = json!(object::now());
        }
    }

    fn reason(&self) -> String {
        object::text_at(&self.0, "/conditions/0/reason").unwrap_or_default().to_owned()
    }

    fn goes_on(&mut self, reason: &str, message: String) {
        self.says("Unknown", reason, message);
    }

    fn runs_finally(&mut self, reason: &str, message: String) {
        self.0["finallyStartTime"] = json!(object::now());
        self.goes_on(reason, message);
    }

    fn ends(&mut self, succeeded: bool, reason: &str, message: String) {
        self.says(if succeeded { "True" } else { "False" }, reason, message);
        self.0["completionTime"] = json!(object::now());
    }

    /// A pending run starts to be stopped; with no `finally` tasks it is over with that.
    fn stops(&mut self, run: &Value, course: &Course<'_>) {
        let is_begun = self.0.get("startTime").is_some() && self.reason() == "Running";
        let is_cancelled = object::text_at(run, "/spec/status") == Some("CancelledRunFinally");
        let reason = if is_cancelled { "CancelledRunningFinally" } else { "StoppedRunningFinally" };
        let finally = course.finally_tasks();
        self.starts();
        if is_begun && !is_cancelled {
            // What runs may end.
            self.goes_on(reason, progress(0, course.tasks() + finally, 0));
        } else if is_begun || finally > 0 {
            self.runs_finally(reason, progress(0, finally, course.tasks()));
        } else {
            self.ends(false, "Cancelled", format!("PipelineRun \"{}\" was cancelled", object::name(run)));
        }
    }

    fn is_over(&mut self, name: &str, course: &Course<'_>) {
        let was_stopped = matches!(&*self.reason(), "CancelledRunningFinally" | "StoppedRunningFinally");
        if self.reason() == "PipelineRunTimeoutRunningFinally" {
            self.times_out_tasks(name, course);
        } else if course.fails() && self.reason() != "CancelledRunningFinally" {
            self.fails(course);
        } else if was_stopped {
            self.ends(false, "Cancelled", format!("PipelineRun \"{name}\" was cancelled"));
        } else {
            let tasks = course.tasks() + course.finally_tasks();
            self.ends(true, "Succeeded", format!("Tasks Completed: {tasks} (Failed: 0, Cancelled 0), Skipped: 0"));
        }
    }

    /// The first task fails, and those behind it are skipped.
    fn fails(&mut self, course: &Course<'_>) {
        let (completed, skipped) = (1 + course.finally_tasks(), course.tasks() - 1);
        let message = format!("Tasks Completed: {completed} (Failed: 1, Cancelled 0), Skipped: {skipped}");
        self.ends(false, "Failed", message);
    }

    fn times_out_tasks(&mut self, name: &str, course: &Course<'_>) {
        let within = in_go(course.tasks_timeout().unwrap_or_default());
        let message = format!("PipelineRun \"{name}\" failed due to tasks failed to finish within \"{within}\"");
        self.ends(false, "PipelineRunTimeout", message);
    }

    fn says(&mut self, status: &str, reason: &str, message: String) {
        self.0["conditions"] = json!([{
            "type": "Succeeded",
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": object::now(),
        }]);
    }
}

fn progress(completed: usize, incomplete: usize, skipped: usize) -> String {
    format!("Tasks Completed: {completed} (Failed: 0, Cancelled 0), Incomplete: {incomplete}, Skipped: {skipped}")
}
