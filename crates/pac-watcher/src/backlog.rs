//! Who waits while the system is switched off.
//!
//! Nothing is watched then: a cluster that doesn't use the system is to pay next to nothing for it. But a system that is off by
//! mistake looks like one that is off on purpose, and PipelineRuns wait for ever. So the watcher that leads asks now and then,
//! for a page of those that are labelled as queued, as a table: the server sends metadata and what its columns say, and no
//! spec. More than some pages are not counted, and it is said that there are more.

use std::cmp::min;
use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use http::header::ACCEPT;
use kube::api::ListParams;
use kube::core::Request;
use kube::{Client, Resource};
use pac_concurrency::protocol::REQUEST_DEADLINE;
use pac_kube::api::PipelineRun;
use pac_kube::api::labels::{EXECUTION_ORDER, EXECUTION_ORDER_KEPT, QUEUED, STATE};
use pac_kube::error::with_causes;
use pac_state::active_store::ActiveStore;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::options::Mode;

/// How often to ask: an API server without a cache for it reads all PipelineRuns to find those that are queued.
const LOOK_EVERY: Duration = Duration::from_mins(2);
/// When to ask for the first time beside PAC's own queue: what the gate kept is handed back to that first.
const HANDED_BACK_BY: Duration = Duration::from_secs(30);
/// So many are asked for at once.
const PAGE: u32 = 500;
/// So many pages at most.
const PAGES: usize = 4;
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// The runs that wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Backlog {
    count: usize,
    /// Whether there may be more of them.
    is_partial: bool,
    /// When the oldest was created, as the API server writes it, and its `namespace/name`.
    oldest: Option<(String, String)>,
}

#[derive(Deserialize)]
struct Table {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default, rename = "columnDefinitions")]
    columns: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    namespace: String,
    name: String,
    creation_timestamp: String,
    deletion_timestamp: Option<String>,
    annotations: BTreeMap<String, String>,
}

/// Says in log and metric how many runs wait, for ever, while this watcher leads.
pub(crate) async fn follow(
    client: &Client,
    mode: Mode,
    mut leading: watch::Receiver<bool>,
    active_store: &ActiveStore,
) {
    if mode != Mode::Standalone {
        tokio::time::sleep(HANDED_BACK_BY).await;
    }
    let (mut warned, mut complaint) = (0, None);
    loop {
        if leading.wait_for(|leading| *leading).await.is_err() {
            // Who tells lives as long as the process does.
            return std::future::pending().await;
        }
        match timeout(REQUEST_DEADLINE, ask(client, mode)).await.unwrap_or_else(|_| Err("no answer in time".to_owned()))
        {
            Ok(backlog) => {
                active_store.note_backlog(Some(backlog.count));
                warned = tell(&backlog, warned);
                complaint = None;
            }
            Err(why) => {
                active_store.note_backlog(None);
                if complaint.as_ref() != Some(&why) {
                    warn!("can't tell whether PipelineRuns wait while the concurrency system is switched off: {why}");
                }
                complaint = Some(why);
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = leading.wait_for(|leading| !leading) => active_store.note_backlog(None),
        }
    }
}

/// Warns of those that wait, and again once they are twice as many; says of how many was warned.
fn tell(backlog: &Backlog, warned: usize) -> usize {
    let Backlog { count, is_partial, oldest } = backlog;
    let Some((created, run)) = oldest else {
        if warned > 0 {
            info!("no PipelineRun waits any more; the concurrency system is still switched off");
        }
        return 0;
    };
    if *count < warned.saturating_mul(2) {
        return min(warned, *count);
    }
    let at_least = if *is_partial { "at least " } else { "" };
    warn!(
        count,
        "nobody starts PipelineRuns that wait, {at_least}{count} of them: the concurrency system is switched off \
         (concurrency-enabled is false). The oldest is {run}, created at {created}. Set concurrency-enabled to \"true\" to have \
         them started in order"
    );
    *count
}

async fn ask(client: &Client, mode: Mode) -> Result<Backlog, String> {
    let mut backlog = Backlog::default();
    let mut page = ListParams::default().labels(&format!("{STATE}={QUEUED}")).limit(PAGE);
    for _ in 0..PAGES {
        let list = Request::new(PipelineRun::url_path(&(), None)).list(&page);
        let mut request = list.map_err(|error| with_causes(&error))?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(AS_TABLE));
        let table: Table = client.request(request).await.map_err(|error| with_causes(&error))?;
        backlog.add(&table, mode);
        let next = table.metadata.next.filter(|next| !next.is_empty());
        backlog.is_partial = next.is_some();
        let Some(next) = next else { break };
        page = page.continue_token(&next);
    }
    Ok(backlog)
}

// === impl Backlog ===

impl Backlog {
    fn add(&mut self, table: &Table, mode: Mode) {
        let column = |name| table.columns.iter().position(|column: &Column| column.name == name);
        let (succeeded, started) = (column("Succeeded"), column("StartTime"));
        for row in &table.rows {
            let cell = |column: Option<usize>| column.and_then(|at| row.cells.get(at)?.as_str());
            let is_done = matches!(cell(succeeded), Some("True" | "False"));
            let has_begun = cell(started).is_some_and(|started| !started.is_empty());
            let metadata = &row.object.metadata;
            if is_done || has_begun || !metadata.waits_for_us(mode) {
                continue;
            }
            self.count += 1;
            let this = (metadata.creation_timestamp.clone(), format!("{}/{}", metadata.namespace, metadata.name));
            self.oldest = Some(self.oldest.take().map_or(this.clone(), |oldest| min(oldest, this)));
        }
    }
}

// === impl Metadata ===

impl Metadata {
    /// Whether nobody but us would start it. One without an order is another's to start, such as Kueue's; one whose order is
    /// under PAC's own name is PAC's queue's, where that runs beside us.
    fn waits_for_us(&self, mode: Mode) -> bool {
        let is_queued = self.annotations.get(STATE).is_some_and(|state| state == QUEUED);
        let has = |name| self.annotations.contains_key(name);
        let is_ours = match mode {
            Mode::Standalone => has(EXECUTION_ORDER) || has(EXECUTION_ORDER_KEPT),
            Mode::Companion | Mode::Shadow => has(EXECUTION_ORDER_KEPT) && !has(EXECUTION_ORDER),
        };
        is_queued && is_ours && self.deletion_timestamp.is_none()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As a cluster has it: the columns of Tekton's own CRD.
    fn table(rows: &[Value]) -> Table {
        let names = ["Name", "Succeeded", "Reason", "StartTime", "CompletionTime"];
        let columns: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "string"})).collect();
        serde_json::from_value(json!({"metadata": {"continue": ""}, "columnDefinitions": columns, "rows": rows}))
            .unwrap()
    }

    fn row(name: &str, created: &str, order: &str, change: Value) -> Value {
        let annotations = json!({STATE: QUEUED, order: "ns/a"});
        let metadata =
            json!({"namespace": "ns", "name": name, "creationTimestamp": created, "annotations": annotations});
        let cells = json!([name, "Unknown", "PipelineRunPending", null, null]);
        let mut row = json!({"cells": cells, "object": {"metadata": metadata}});
        json_patch::merge(&mut row, &change);
        row
    }

    #[test]
    fn counts_those_that_nobody_else_starts() {
        let ours = row("a", "2026-01-01T00:00:02Z", EXECUTION_ORDER_KEPT, json!({}));
        let pacs = row("b", "2026-01-01T00:00:01Z", EXECUTION_ORDER, json!({}));
        let others = [
            row("kueues", "2026-01-01T00:00:00Z", "other", json!({})),
            row(
                "cancelled",
                "2026-01-01T00:00:00Z",
                EXECUTION_ORDER_KEPT,
                json!({"cells": ["", "False", "Cancelled", null]}),
            ),
            row(
                "runs",
                "2026-01-01T00:00:00Z",
                EXECUTION_ORDER_KEPT,
                json!({"cells": ["", "Unknown", "Running", "5s"]}),
            ),
            row(
                "going",
                "",
                EXECUTION_ORDER_KEPT,
                json!({"object": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}),
            ),
            row(
                "started",
                "",
                EXECUTION_ORDER_KEPT,
                json!({"object": {"metadata": {"annotations": {STATE: "started"}}}}),
            ),
        ];
        let table = table(&[&[ours, pacs][..], &others].concat());
        for (mode, count, oldest) in [(Mode::Standalone, 2, "ns/b"), (Mode::Companion, 1, "ns/a")] {
            let mut backlog = Backlog::default();
            backlog.add(&table, mode);
            let name = backlog.oldest.unwrap().1;
            assert_eq!((backlog.count, name.as_str()), (count, oldest), "{mode:?}");
        }
    }

    #[test]
    fn warns_at_first_and_then_of_twice_as_many() {
        let of = |count| Backlog { count, oldest: Some((String::new(), "ns/a".to_owned())), ..Backlog::default() };
        assert_eq!(tell(&of(3), 0), 3);
        assert_eq!(tell(&of(5), 3), 3, "it was said already");
        assert_eq!(tell(&of(6), 3), 6);
        assert_eq!(tell(&of(1), 6), 1, "from here on two are news");
        assert_eq!(tell(&Backlog::default(), 6), 0);
    }
}
