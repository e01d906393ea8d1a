//! The bugs that the simulation is to find: those of the protocol that docs/testing.md has, and those that once were there.

use super::bugs::{Bug, Judge};

const PLAN: &str = "crates/pac-concurrency/src/plan.rs";
const PASS: &str = "crates/pac-concurrency/src/manager/pass.rs";
const PATCH: &str = "crates/pac-kube/src/patch.rs";
const STARTS: &str = "crates/pac-watcher/src/engine/starts.rs";
pub(super) const STATE_OF_STARTS: &str = "crates/pac-state/src/index/repository/starts.rs";
const STRAYS: &str = "crates/pac-state/src/index/repository/strays.rs";

const fn bug(name: &'static str, what: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Bug {
    Bug { name, what, file, from, to, judge: Judge::Simulation }
}

/// All of them.
pub(crate) const OF_THE_PROTOCOL: [Bug; 33] = [
    bug(
        "one-more",
        "one more is granted than the limit allows",
        PLAN,
        "let mut free = observation.limit.free(self.held);",
        "let mut free = observation.limit.free(self.held.saturating_sub(1));",
    ),
    bug(
        "one-fewer",
        "one fewer is granted",
        PLAN,
        "let mut free = observation.limit.free(self.held);",
        "let mut free = observation.limit.free(self.held + 1);",
    ),
    bug(
        "youngest-first",
        "the youngest is admitted first",
        PLAN,
        "        for entry in candidates {\n            if beyond(entry) {",
        "        for entry in candidates.into_iter().rev() {\n            if beyond(entry) {",
    ),
    bug(
        "slot-absence",
        "the slot of a run missing from the cache is released",
        PLAN,
        "                RunState::NotCached | RunState::Unreadable | RunState::Cancelled => self.confirm.push(run.clone()),",
        "                RunState::NotCached | RunState::Unreadable => {
                    self.released.push(run.clone());
                    continue;
                }
                RunState::Cancelled => self.confirm.push(run.clone()),",
    ),
    bug(
        "queue-absence",
        "the queue entry of a run missing from the cache is released",
        PLAN,
        "                    self.confirm.push(entry.run.clone());\n                    candidates.push(entry);",
        "                    self.dequeued.push(entry.run.clone());",
    ),
    bug(
        "lapsed",
        "slots whose lease lapsed are not counted",
        PLAN,
        "            self.held += 1;\n        }\n        unstarted\n",
        "            self.held += usize::from(!slot.lapsed);\n        }\n        unstarted\n",
    ),
    bug(
        "adoption",
        "running runs are not adopted",
        PLAN,
        "        if !observation.limit.is_limited() {\n            return;",
        "        if observation.limit != Limit::Unknown {\n            return;",
    ),
    bug(
        "no-live-read",
        "slots are given back and resumed without a live read",
        PLAN,
        "let is_certain = |entry: &Entry| all_fit ||",
        "let is_certain = |entry: &Entry| entry.run.name() != \"\" || all_fit ||",
    ),
    bug(
        "start-uid",
        "a start doesn't test the uid",
        PATCH,
        "        test(&[\"metadata\", \"uid\"], run.uid()),\n        // A path that isn't there",
        "        // A path that isn't there",
    ),
    bug(
        "start-status",
        "a start doesn't test spec.status",
        PATCH,
        "        test(&[\"spec\", \"status\"], \"PipelineRunPending\"),\n    ];\n    let started",
        "    ];\n    let started",
    ),
    bug(
        "start-deletion",
        "a start doesn't test that the run isn't being deleted",
        PATCH,
        "        test(&[\"metadata\", \"deletionTimestamp\"], Value::Null),\n        test(&[\"spec\", \"status\"], \"PipelineRunPending\"),\n    ];\n    let started",
        "        test(&[\"spec\", \"status\"], \"PipelineRunPending\"),\n    ];\n    let started",
    ),
    bug(
        "others-slots",
        "another watcher's granted run is started, too",
        PLAN,
        "                    if ownership == SlotOwnership::Mine =>\n                {\n                    unstarted.ours.insert",
        "                    if ownership != SlotOwnership::Lapsed =>\n                {\n                    unstarted.ours.insert",
    ),
    bug(
        "no-resume",
        "a granted run that is still pending is not started again",
        PLAN,
        "                self.resume.push(entry.run);",
        "                drop(entry);",
    ),
    bug(
        "unsettled",
        "nobody waits for a place still to come",
        PLAN,
        "            if !(observation.settled)(entry) || ",
        "            if ",
    ),
    bug(
        "window",
        "the window's end is not heeded",
        PLAN,
        "            if beyond(entry) {",
        "            if beyond(entry) && free == 0 {",
    ),
    bug(
        "refusal",
        "a refusal gives back another watcher's slot",
        PLAN,
        "                RunState::BackingOff if ownership == SlotOwnership::Mine => {",
        "                RunState::BackingOff => {",
    ),
    bug(
        "younger-in-doubt",
        "a slot is given back while a younger one is in doubt",
        PLAN,
        "            } else if youngest.is_none_or(|youngest| *youngest < entry) {",
        "            } else if self.held > 0 {",
    ),
    bug(
        "remembered",
        "a granted run is resumed on a remembered snapshot",
        PASS,
        "            if !self.fresh && !plan.resume.is_empty() {",
        "            if !self.fresh && plan.held > 1_000 {",
    ),
    bug(
        "lease",
        "a lease that was not renewed is trusted",
        "crates/pac-concurrency/src/manager/term.rs",
        "!self.ended && self.until.is_some_and(|until| now < until)",
        "!self.ended && self.until.is_some_and(|until| now < until || now >= until)",
    ),
    bug(
        "refused-unread",
        "a refused start gives back without reading the run",
        STARTS,
        "                self.look_again(repository, run, Some(&why)).await;",
        "                self.index.with(repository, |state| state.refuse_start(run, &why, Instant::now()));
                self.note_refused(repository, run, &why);",
    ),
    bug(
        "version",
        "the store commits whatever the version",
        "crates/pac-sim/src/store/records.rs",
        "        if found.map_or(Version::NONE, |found| Version::new(found.version)) != expected {\n            return",
        "        if found.is_none() && expected != Version::NONE {\n            return",
    ),
    bug(
        "all-at-once",
        "the starts of a repository are sent all at once",
        STARTS,
        "tokio::time::timeout(patience, sending)",
        "tokio::time::timeout(patience * 0, sending)",
    ),
    bug(
        "nobody-looks",
        "nobody looks again at a run that another watcher has a slot for and doesn't start",
        "crates/pac-state/src/index/repository/follow_up.rs",
        "plan.foreign_pending.then(|| now + FOREIGN_LOOK)",
        "plan.window_too_small.then(|| now + FOREIGN_LOOK)",
    ),
    bug(
        "proof",
        "starts are sent however old the proof of their slot is",
        "crates/pac-concurrency/src/protocol.rs",
        "now.saturating_duration_since(proven) <= PROOF_LASTS",
        "now.saturating_duration_since(proven) <= PROOF_LASTS * 1_000",
    ),
    bug(
        "former-start",
        "a claimed run is given back while its former holder's start may arrive",
        STRAYS,
        "self.until.get(run).copied().filter(|until| *until > asked)",
        "self.until.get(run).copied().filter(|until| *until > asked + std::time::Duration::from_secs(3_600))",
    ),
    bug(
        "unanswered",
        "a start whose connection broke was not under way any more",
        STRAYS,
        "        self.strays.add(run, sent + REQUEST_DEADLINE);\n",
        "        let _ = (run, sent, REQUEST_DEADLINE);\n",
    ),
    bug(
        "start-forgotten",
        "a start under way was forgotten when the watch came to show its run (mended in 767fe81)",
        "crates/pac-state/src/index/repository.rs",
        "                    Some(known) => known.come_to_be_shown(view, now, age),",
        "                    Some(known) if known.view.key.name().is_empty() => known.come_to_be_shown(view, now, age),
                    Some(_) => Run::new(view, now, age),",
    ),
    bug(
        "old-read",
        "a read from before a start undid the doubt about it (mended in 9872ca3 and 08f37a5)",
        STATE_OF_STARTS,
        "run.start_ended_at.is_none_or(|ended_at| asked >= ended_at)",
        "run.start_ended_at.is_none_or(|ended_at| asked >= ended_at || asked < ended_at)",
    ),
    bug(
        "overtaking",
        "a start that is answered late was overtaken by the next (mended in 01db55f)",
        STARTS,
        "const IN_ORDER_FOR: Duration = Duration::from_secs(3);",
        "const IN_ORDER_FOR: Duration = Duration::from_millis(250);",
    ),
    bug(
        "proof-of-answer",
        "a slot's proof was counted from the store's answer (mended in 83c8198)",
        PASS,
        "        let proven = self.asked_at;",
        "        let proven = Instant::now().max(self.asked_at);",
    ),
    bug(
        "unread-passed",
        "a waiting run that a live read is yet to tell about is passed (mended with its test)",
        PLAN,
        "                    self.confirm.push(entry.run.clone());\n                    candidates.push(entry);",
        "                    self.confirm.push(entry.run.clone());",
    ),
    bug(
        "old-term",
        "a pass goes on by the term in which it began (mended with its test)",
        "crates/pac-concurrency/src/manager/mod.rs",
        "        let outcome = loop {
            let now = Instant::now();
            // Anew at each step: the one before may have taken longer than the lease lasts.
            let holder = &self.term.trusted()?;",
        "        let holder = &self.term.trusted()?;
        let outcome = loop {
            let now = Instant::now();",
    ),
    bug(
        "stale",
        "a watch is resumed, and alive when it is silent, however long nothing was heard (mended in ebfa276)",
        "crates/pac-kube/src/list_watch.rs",
        "self.stale_at() <= Instant::now()",
        "self.stale_at() + Duration::from_secs(3_600) <= Instant::now()",
    ),
];
