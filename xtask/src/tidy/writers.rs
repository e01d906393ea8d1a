//! Who writes onto objects of the cluster: of PipelineRuns and Repositories that is `patch.rs` of pac-kube alone, so that whoever
//! wants to know what is ever written there reads one file.

use super::sources::{Sources, without_tests};

/// The crates that have a client of a cluster's.
const CRATES: [&str; 6] = [
    "crates/pac/src/",
    "crates/pac-client/src/",
    "crates/pac-kube/src/",
    "crates/pac-state/src/",
    "crates/pac-view/src/",
    "crates/pac-watcher/src/",
];

/// What a write to an API server is made with.
const WRITES: [&str; 4] = ["PatchParams", "PostParams", "DeleteParams", "patch_metadata"];

/// Who writes, and what.
const WRITERS: [(&str, &str); 5] = [
    ("crates/pac-kube/src/patch.rs", "PipelineRuns and Repositories"),
    ("crates/pac-kube/src/gate/object.rs", "the gate"),
    ("crates/pac-kube/src/leader.rs", "the Lease"),
    ("crates/pac-client/src/switch/settings.rs", "the settings that the switch turns"),
    ("crates/pac-view/src/events/publish.rs", "Events"),
];

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let code = sources.rust().filter(|(path, _)| CRATES.iter().any(|of| path.starts_with(of)));
    let others = code.filter(|(path, _)| WRITERS.iter().all(|(writer, _)| writer != path));
    let writes = others.filter(|(_, text)| WRITES.iter().any(|write| without_tests(text).contains(write)));
    let allowed = WRITERS.map(|(path, what)| format!("{path} ({what})")).join(", ");
    writes.map(|(path, _)| format!("{path}: writes to the API server; those who may are {allowed}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_else_writes_is_found() {
        let text = "runs.patch(name, &PatchParams::default(), &patch)";
        let found = |path| problems(&Sources::of(&[(path, text)])).len();
        assert_eq!(found("crates/pac-watcher/src/engine/starts.rs"), 1);
        assert_eq!(found("crates/pac-client/src/operator.rs"), 1);
        assert_eq!(found("crates/pac-kube/src/patch.rs"), 0);
        assert_eq!(found("crates/pac-devcluster/src/pac/push.rs"), 0, "it plays others");
    }
}
