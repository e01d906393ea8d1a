//! Plays PAC's own watcher: its queue in memory, which knows only what it was told since it began.
//!
//! Written after PAC's `pkg/sync/queue_manager.go` and `pkg/reconciler`, in what matters here: what it finds at its start,
//! that a queued run comes into its queue by the annotation execution-order alone, that a run that ends makes room for the
//! next of its memory, and that it writes the final state whoever started a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, EXECUTION_ORDER, STATE, annotation};

const REPORTED: &str = "pipelinesascode.tekton.dev/scm-reporting-plr-started";

/// See the [module](self). Its memory ends with it.
pub(crate) struct PacQueue {
    stop: Arc<AtomicBool>,
    playing: Option<JoinHandle<()>>,
}

struct Player {
    api: Api,
    limit: usize,
    running: Vec<String>,
    pending: Vec<String>,
}

// === impl PacQueue ===

impl PacQueue {
    pub(crate) fn start(api: Api, limit: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let playing = std::thread::spawn(move || {
            let mut player = Player { api, limit, running: Vec::new(), pending: Vec::new() };
            player.remember();
            while !stopped.load(Ordering::Relaxed) {
                player.look();
                std::thread::sleep(Duration::from_millis(20)); // stands for a watch
            }
        });
        Self { stop, playing: Some(playing) }
    }
}

impl Drop for PacQueue {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Err(problem)) = self.playing.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(problem);
        }
    }
}

// === impl Player ===

impl Player {
    /// What it finds at its start: runs that were started count, runs that are queued wait, if they have their order.
    fn remember(&mut self) {
        let runs = self.api.runs();
        let has_label = |run: &&Value, state: &str| run["metadata"]["labels"][STATE] == state;
        for run in runs.iter().filter(|run| has_label(run, "started")) {
            let Some(order) = annotation(run, EXECUTION_ORDER) else { return };
            for name in those(&runs, order, "started") {
                if !self.running.contains(&name) {
                    self.running.push(name);
                }
            }
        }
        for run in runs.iter().filter(|run| has_label(run, "queued")) {
            let Some(order) = annotation(run, EXECUTION_ORDER) else { return };
            self.enqueue(those(&runs, order, "queued"));
        }
    }

    fn look(&mut self) {
        let runs = self.api.runs();
        for run in &runs {
            let state = annotation(run, STATE);
            let is_pending = run["spec"]["status"] == "PipelineRunPending";
            let condition = run["status"]["conditions"][0]["status"].as_str();
            match (state, condition) {
                (Some("completed" | "failed"), _) => {}
                (Some("queued"), _) if is_pending => {
                    let Some(order) = annotation(run, EXECUTION_ORDER) else { continue };
                    self.enqueue(those(&runs, order, "queued"));
                    self.start_next();
                }
                (_, Some("True" | "False")) => self.report_end(name(run)),
                (_, Some(_)) if annotation(run, REPORTED).is_none() => {
                    self.api.patch_run(name(run), &json!({"metadata": {"annotations": {REPORTED: "true"}}}));
                }
                _ => {}
            }
        }
    }

    fn report_end(&mut self, run: &str) {
        let state = json!({STATE: "completed"});
        self.api.patch_run(run, &json!({"metadata": {"labels": state, "annotations": state}}));
        self.running.retain(|running| running != run);
        self.pending.retain(|pending| pending != run);
        self.start_next();
    }

    fn enqueue(&mut self, names: Vec<String>) {
        for name in names {
            if !self.running.contains(&name) && !self.pending.contains(&name) {
                self.pending.push(name);
            }
        }
    }

    /// It looks at nothing but its own memory, and tests nothing.
    fn start_next(&mut self) {
        while self.running.len() < self.limit && !self.pending.is_empty() {
            let next = self.pending.remove(0);
            let state = json!({STATE: "started"});
            let change = json!({"metadata": {"labels": state, "annotations": state}, "spec": {"status": ""}});
            self.api.patch_run(&next, &change);
            self.running.push(next);
        }
    }
}

/// The names in an order whose runs are in this state.
fn those(runs: &[Value], order: &str, state: &str) -> Vec<String> {
    let find = |wanted: &str| runs.iter().find(|run| name(run) == wanted);
    let names = order.split(',').filter_map(|entry| entry.strip_prefix("ci/"));
    let is_such = |name: &&str| find(name).is_some_and(|run| annotation(run, STATE) == Some(state));
    names.filter(is_such).map(str::to_owned).collect()
}

fn name(run: &Value) -> &str {
    run["metadata"]["name"].as_str().unwrap()
}
