//! The bugs that the exploration of small systems is to find, each with the scenario of pac-model in which it does.
//!
//! Most are those that the simulation is to find, too. The rest are in what the model has in the place of an engine or a store.

use super::bugs::{Bug, Judge};
use super::protocol::{OF_THE_PROTOCOL, STATE_OF_STARTS};

/// Bugs that the simulation is to find as well, by name.
const SIMULATED_TOO: [(&str, Judge); 23] = [
    ("one-more", by("alone_and_killed", "P1")),
    ("one-fewer", by("a_run_goes", "P4")),
    ("youngest-first", by("alone_and_killed", "P3")),
    ("slot-absence", by("one_run_comes", "P5")),
    ("queue-absence", by("one_comes_behind", "P5")),
    ("lapsed", by("alone_and_killed", "P1")),
    ("adoption", by("found_at_work", "P1")),
    ("no-live-read", by("alone_killed_and_the_limit_is_lowered", "P5")),
    ("start-uid", by("alone_while_runs_go", "P2")),
    ("start-status", by("a_run_goes", "P2")),
    ("start-deletion", by("a_run_goes", "P2")),
    ("others-slots", by("starts_are_lost", "P1")),
    ("no-resume", by("alone_commits_and_starts_are_lost", "P4")),
    ("window", by("alone_with_a_small_window", "P3")),
    ("refusal", by("starts_are_lost", "P4")),
    ("lease", by("alone_when_its_lease_runs_out", "P7")),
    ("nobody-looks", by("alone_killed_and_the_limit_is_lowered", "P4")),
    ("former-start", by("alone_killed_and_the_limit_is_lowered", "P1")),
    ("remembered", by("starts_are_lost_and_leaders_change", "P1")),
    ("proof", by("commits_are_slow_and_leaders_change", "P1")),
    ("start-forgotten", by("one_comes_behind_and_the_limit_changes", "P1")),
    ("younger-in-doubt", by("alone_and_in_doubt", "P3")),
    ("unanswered", by("alone_and_the_connection_breaks", "P1")),
];

const fn by(scenario: &'static str, breaks: &'static str) -> Judge {
    Judge::Exploration { scenario, breaks }
}

/// Bugs of what carries the rule out, in the form in which the model has it.
const OF_THE_MODEL: [Bug; 8] = [
    Bug {
        name: "version",
        what: "the store commits whatever the version",
        file: "crates/pac-model/src/system/store.rs",
        from: "if self.store.version != expected {",
        to: "if self.store.version != expected && self.store.version == Version::NONE {",
        judge: by("one_comes_behind", "P1"),
    },
    Bug {
        name: "lapsed-dropped",
        what: "the store drops slots whose lease lapsed",
        file: "crates/pac-model/src/system/store.rs",
        from: "        loaded.shrink(window.size());",
        to: "        loaded.slots.retain(|_, slot| !slot.lapsed);\n        loaded.shrink(window.size());",
        judge: by("a_watcher_is_killed", "P4"),
    },
    Bug {
        name: "refused-unread",
        what: "a refused start gives back whatever a read of the run shows",
        file: STATE_OF_STARTS,
        from: "        match found {\n            Some(Confirmed::Is(view)) if view.is_pending() => match refused {",
        to: "        match found {
            _ if refused.is_some() => {
                self.refuse_start(run, refused.unwrap_or_default(), now);
                StartEnd::Refused
            }
            Some(Confirmed::Is(view)) if view.is_pending() => match refused {",
        judge: by("a_watcher_is_killed", "P5"),
    },
    Bug {
        name: "unread",
        what: "a run that can't be read after its start counts as not started",
        file: STATE_OF_STARTS,
        from: "            None => StartEnd::InDoubt(self.doubt_start(run, now)),",
        to: "            None => {
                self.refuse_start(run, \"unread\", now);
                StartEnd::Refused
            }",
        judge: by("alone_and_slow", "P5"),
    },
    Bug {
        name: "old-read-acknowledged",
        what: "a read from before a start undid its acknowledgement (mended in 08f37a5)",
        file: "crates/pac-state/src/index/run.rs",
        from: "        self.start = StartState::Acknowledged;\n        self.start_ended_at = Some(now);\n",
        to: "        self.start = StartState::Acknowledged;\n        let _ = now;\n",
        judge: by("alone_slow_and_time_passes", "P5"),
    },
    Bug {
        name: "lost-claim",
        what: "a claim of which the store's answer was lost was not remembered (mended in 25d5d4d)",
        file: "crates/pac-state/src/index/repository.rs",
        from: "        self.strays.note_decided(&plan);\n",
        to: "        self.strays.note_decided(&Plan::default());\n",
        judge: by("a_claim_is_lost_and_the_limit_is_lowered", "P1"),
    },
    Bug {
        name: "late-read",
        what: "a read proves something though it was asked for while a former holder's start could arrive",
        file: STATE_OF_STARTS,
        from: "self.strays.of_after(run, asked);",
        to: "self.strays.of_after(run, now);",
        judge: by("alone_killed_and_slow_and_the_limit_is_lowered", "P5"),
    },
    Bug {
        name: "proof-of-answer",
        what: "a slot's proof is counted from the store's answer (mended in 83c8198)",
        file: "crates/pac-model/src/watcher/engine.rs",
        from: "passed.proven, by",
        to: "self.now, by",
        judge: by("commits_are_slow_and_leaders_change", "P1"),
    },
];

/// All of them.
pub(crate) fn bugs() -> impl Iterator<Item = Bug> {
    let simulated_too = SIMULATED_TOO.into_iter().filter_map(|(name, judge)| {
        let bug = OF_THE_PROTOCOL.into_iter().find(|bug| bug.name == name)?;
        Some(Bug { judge, ..bug })
    });
    simulated_too.chain(OF_THE_MODEL)
}
