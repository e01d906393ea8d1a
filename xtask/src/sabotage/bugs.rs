//! The bugs that tests of the whole binary are to notice: each one change to one file.

/// A deliberate bug.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bug {
    /// How it is asked for.
    pub(crate) name: &'static str,
    /// What is wrong then.
    pub(crate) what: &'static str,
    /// Where, from the workspace's folder.
    pub(crate) file: &'static str,
    /// What stands there once,
    pub(crate) from: &'static str,
    /// and what takes its place.
    pub(crate) to: &'static str,
    pub(crate) judge: Judge,
}

/// Who has to notice a bug.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judge {
    /// File and name of a test of the package pac that passes without it, and the promise that the recorder says is broken.
    Test { file: &'static str, name: &'static str, breaks: &'static str },
    /// The simulation, whatever it breaks.
    Simulation,
    /// The exploration of a scenario of pac-model, and the promise that it says is broken.
    Exploration { scenario: &'static str, breaks: &'static str },
}

/// All of them.
pub(crate) const OF_TESTS: [Bug; 3] = [
    Bug {
        name: "version",
        what: "PostgreSQL commits whatever version the change was planned for",
        file: "crates/pac-driver-pg/migrations/0001_slots_and_queues.sql",
        from: "WHERE repository = p_repository AND version = p_expected FOR UPDATE;",
        to: "WHERE repository = p_repository FOR UPDATE;",
        judge: Judge::Test {
            file: "replicas",
            name: "postgresql::those_whose_store_is_slow_break_no_promise",
            breaks: "P1",
        },
    },
    Bug {
        name: "absence",
        what: "the slot of a run that the cache doesn't show is released, without a live read",
        file: "crates/pac-concurrency/src/plan.rs",
        from: "                RunState::NotCached | RunState::Unreadable | RunState::Cancelled => self.confirm.push(run.clone()),",
        to: "                RunState::NotCached | RunState::Unreadable => {
                    self.released.push(run.clone());
                    continue;
                }
                RunState::Cancelled => self.confirm.push(run.clone()),",
        judge: Judge::Test {
            file: "replicas",
            name: "postgresql::one_that_sees_everything_late_breaks_no_promise",
            breaks: "P1",
        },
    },
    Bug {
        name: "merge-patch",
        what: "a run is started by a merge patch, which tests nothing",
        file: "crates/pac-kube/src/patch.rs",
        from: "    match send(client, run, patch).await {
        Ok(()) => StartOutcome::Started,",
        to: "    drop(patch);
    let state = serde_json::json!({ STATE: STARTED });
    let patch = serde_json::json!({\"spec\": {\"status\": null}, \"metadata\": {\"labels\": state, \"annotations\": state}});
    let runs: Api<PipelineRun> = Api::namespaced(client.clone(), run.namespace());
    let sent = runs.patch_metadata(run.name(), &PatchParams::default(), &Patch::Merge(patch)).await;
    let sent = sent.map(drop).map_err(|error| match error {
        Error::Api(status) => Failure::Answer(status),
        error => Failure::NoAnswer(error.to_string()),
    });
    match sent {
        Ok(()) => StartOutcome::Started,",
        judge: Judge::Test {
            file: "wishes",
            name: "no_start_undoes_a_wish",
            breaks: "P2",
        },
    },
];
