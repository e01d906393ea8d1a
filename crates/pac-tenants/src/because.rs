//! What tenants are told in words: fixed ones, with nothing in them but what they see.

use pac_queue::view::{Answer, NOT_QUEUED, PLACE_TO_COME, PauseView, SlotView};
use pac_state::health::Part;

/// What is wrong, to somebody who can't mend it.
pub(crate) fn trouble(part: Part) -> &'static str {
    match part {
        Part::Settings => "the watcher can't read its settings",
        Part::Store => "the store of slots and queues can't be reached: nobody is admitted",
        Part::ApiServer => "the API server can't be reached: nobody is started",
        Part::RunWatch | Part::RepositoryWatch => "the cluster can't be watched: what is shown may be old",
        Part::Gate => "Pipelines-as-Code's own queue isn't known to be kept out: nobody is admitted",
        Part::Start => "the watcher is starting",
    }
}

/// Why a run is where it is: by the answer, and by what is shown of the run's own queue.
pub(crate) fn because(
    answer: Answer,
    ahead: &[String],
    holders: &[SlotView],
    run: &str,
    paused: Option<&PauseView>,
) -> String {
    let fixed = match answer {
        Answer::Unknown => "there is no such PipelineRun, or it is gone",
        Answer::Foreign => {
            "this watcher doesn't start it: it is none of Pipelines-as-Code's, or somebody else holds it"
        }
        Answer::Done => "it is done",
        Answer::Released => "it runs, but counts no more: an operator released it",
        Answer::Starting => "it has a slot, and is being started",
        Answer::Withdrawn => "it was cancelled or is being deleted, and is not going to be started",
        Answer::SwitchedOff => "the concurrency system is switched off: nobody is admitted",
        Answer::NotReady => "the watcher is not at work yet",
        Answer::RepositoryMissing => {
            "there is no Repository of the name it has; none of its runs is admitted until there is"
        }
        Answer::LimitUnreadable => "its Repository's limit can't be told; none of its runs is admitted until it can",
        Answer::Gate => "Pipelines-as-Code's own queue must be kept out first, and it isn't known that it is",
        Answer::PacsQueue => "Pipelines-as-Code's own queue starts it, or has others of its Repository to start first",
        Answer::StoreUnreachable => trouble(Part::Store),
        Answer::ApiServerUnreachable => trouble(Part::ApiServer),
        Answer::Refused => {
            "the API server, or a webhook it asks, refused to start it, and others may pass it meanwhile; it is tried again"
        }
        Answer::Arriving => NOT_QUEUED,
        Answer::PlaceToCome => PLACE_TO_COME,
        Answer::Running => return running(holders, run),
        Answer::Paused => return held(paused),
        Answer::Waiting => return waiting(ahead, holders),
    };
    fixed.to_owned()
}

fn running(holders: &[SlotView], run: &str) -> String {
    match holders.iter().find(|slot| slot.run == run) {
        Some(SlotView { holder: Some(_), since: Some(since), .. }) => format!("it runs; it got its slot at {since}"),
        Some(SlotView { holder: Some(_), .. }) => "it runs, in a slot".to_owned(),
        _ => "it runs, without a slot".to_owned(),
    }
}

fn held(paused: Option<&PauseView>) -> String {
    let Some(PauseView { reason, until, complaint }) = paused else {
        return "everything is paused, by the watcher's settings: nobody is admitted anywhere".to_owned();
    };
    let until = match (until, complaint) {
        (Some(until), _) => format!("until {until}"),
        (None, Some(complaint)) => complaint.clone(),
        (None, None) => "until it is resumed".to_owned(),
    };
    format!("its Repository is paused {until}: {reason}")
}

fn waiting(ahead: &[String], holders: &[SlotView]) -> String {
    let before = match ahead.len() {
        0 => "it is next".to_owned(),
        1 => "one run is before it".to_owned(),
        many => format!("{many} runs are before it"),
    };
    let taken = match holders.len() {
        1 => "one is taken".to_owned(),
        many => format!("{many} are taken"),
    };
    format!("it waits for a slot, of which {taken}; {before}")
}
