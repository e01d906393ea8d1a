//! Events that are yet to be written: whoever did something puts them here, and the publisher takes them when it gets to it.
//!
//! Whoever puts one here waits for nothing, and no state is lost for good. While few Events wait to be written each of them is kept,
//! in order. When many do, the newest of a run takes the place of those before it, and equal ones of a Repository are counted, so
//! that there never are more than there are runs and Repositories.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_concurrency::{RepositoryKey, RunKey};
use pac_metrics::catalogue;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{EventText, waiting};

/// Up to this many are kept each; beyond, the newest of each run.
const EVERY_WORD: usize = 1000;
/// More than this are dropped: nothing could be written for hours, and the places of runs that wait by then are published anew.
const MOST: usize = 100_000;
/// How long the place of a run that doesn't move stands before it is published again: the API server drops Events after an hour.
const PLACE_STANDS: Duration = Duration::from_secs(1500);

/// The object that an Event is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Run { path: String, uid: String },
    Repository(RepositoryKey),
}

/// An Event that is yet to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) subject: Subject,
    /// The repository of the run it is about.
    pub(super) repository: RepositoryKey,
    pub(super) text: EventText,
    /// The time of day at which it happened; no order depends on it.
    pub(super) at: Timestamp,
    /// How often it happened.
    pub(super) count: i32,
    /// The Event's name, the same at every try, so that it exists once however often it is sent.
    pub(super) name: Option<String>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    number: u64,
    /// Drafts, in the order in which they are to be written.
    drafts: BTreeMap<u64, Draft>,
    of_subject: HashMap<Subject, Vec<u64>>,
    /// The place last published of each run that waits, by uid.
    places: HashMap<String, (usize, Instant)>,
    /// Queues that moved since the places in them were published.
    moved: HashSet<RepositoryKey>,
    /// Whether every queue may have moved unseen.
    all_moved: bool,
}

// === impl Mailbox ===

impl Mailbox {
    pub(super) fn put(&self, draft: Draft) {
        self.state().put(draft);
        self.filled.notify_one();
    }

    /// The next draft to be written, as soon as there is one.
    pub(super) async fn next(&self) -> Draft {
        loop {
            let filled = self.filled.notified();
            if let Some(draft) = self.state().pop() {
                return draft;
            }
            filled.await;
        }
    }

    /// Takes back a draft that could not be written: it is tried again after the others, unless the run has a newer one.
    pub(super) fn put_back(&self, draft: Draft) {
        let mut state = self.state();
        if matches!(draft.subject, Subject::Run { .. }) && state.of_subject.contains_key(&draft.subject) {
            return superseded(1);
        }
        state.put(draft);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().drafts.is_empty()
    }

    /// Notes that an Event which says that `run` waits at `place` is about to be written.
    pub(super) fn note_place(&self, uid: &str, place: usize) {
        self.state().places.insert(uid.to_owned(), (place, Instant::now()));
    }

    /// Notes that `uid` waits no more.
    pub(super) fn forget_place(&self, uid: &str) {
        self.state().places.remove(uid);
    }

    /// Notes that the queue of `repository` moved.
    pub(super) fn note_moved(&self, repository: &RepositoryKey) {
        let mut state = self.state();
        if !state.moved.contains(repository) {
            state.moved.insert(repository.clone());
        }
    }

    /// Notes that every queue may have moved.
    pub(super) fn note_all_moved(&self) {
        self.state().all_moved = true;
    }

    /// Forgets which places were published: another watcher publishes them from now on, or did until now.
    pub(super) fn begin_places(&self) {
        let mut state = self.state();
        state.places.clear();
        state.all_moved = true;
    }

    /// The queues that moved, or none where all may have. The caller publishes their places now.
    pub(super) fn take_moved(&self) -> Option<HashSet<RepositoryKey>> {
        let mut state = self.state();
        let moved = std::mem::take(&mut state.moved);
        (!std::mem::take(&mut state.all_moved)).then_some(moved)
    }

    /// The runs at these places whose place was published as another, `patience` ago at least, or not at all for long, each with the
    /// time at which it was last published. And whether there are more whose place was published too lately to be published again.
    pub(super) fn due(&self, places: Vec<(RunKey, usize)>, patience: Duration, now: Instant) -> (Vec<DuePlace>, bool) {
        let state = self.state();
        let mut too_soon = false;
        let due = places.into_iter().filter_map(|(run, place)| {
            let told = state.places.get(run.uid()).copied();
            let is_due = told.is_none_or(|(last, at)| {
                let since = now.saturating_duration_since(at);
                too_soon |= last != place && since < patience;
                since >= if last == place { PLACE_STANDS } else { patience }
            });
            is_due.then_some((told.map(|(_, at)| at), run, place))
        });
        let due = due.collect();
        (due, too_soon)
    }

    /// Puts in that `run` of `repository` waits at `place`.
    pub(super) fn tell_place(&self, repository: &RepositoryKey, run: &RunKey, place: usize, at: Timestamp) {
        self.note_place(run.uid(), place);
        let subject = Subject::Run { path: run.path().to_owned(), uid: run.uid().to_owned() };
        self.put(Draft { subject, repository: repository.clone(), text: waiting(place), at, count: 1, name: None });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the place of a run was last published, the run, and the place to publish.
pub(super) type DuePlace = (Option<Instant>, RunKey, usize);

// === impl State ===

impl State {
    fn put(&mut self, draft: Draft) {
        let known = self.of_subject.get(&draft.subject).cloned().unwrap_or_default();
        let same = known.iter().find(|number| self.drafts.get(number).is_some_and(|old| old.text == draft.text));
        if let Some(old) = same.and_then(|number| self.drafts.get_mut(number)) {
            old.count = old.count.saturating_add(draft.count);
            old.at = draft.at;
            return;
        }
        if matches!(draft.subject, Subject::Run { .. }) {
            let crowded = self.drafts.len() >= EVERY_WORD;
            let is_past = |old: &Draft| crowded || old.text.is_place() && draft.text.is_place();
            let past: Vec<u64> =
                known.iter().copied().filter(|number| self.drafts.get(number).is_some_and(&is_past)).collect();
            superseded(past.len());
            past.iter().for_each(|number| drop(self.take(*number)));
        }
        if self.drafts.len() >= MOST {
            catalogue::EVENTS.count(&["dropped"], 1);
            self.pop();
        }
        self.number += 1;
        self.of_subject.entry(draft.subject.clone()).or_default().push(self.number);
        self.drafts.insert(self.number, draft);
    }

    fn pop(&mut self) -> Option<Draft> {
        let number = *self.drafts.first_key_value()?.0;
        self.take(number)
    }

    fn take(&mut self, number: u64) -> Option<Draft> {
        let draft = self.drafts.remove(&number)?;
        if let Some(numbers) = self.of_subject.get_mut(&draft.subject) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.of_subject.remove(&draft.subject);
            }
        }
        Some(draft)
    }
}

/// Counts Events that newer ones took the place of.
fn superseded(count: usize) {
    catalogue::EVENTS.count(&["superseded"], count as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(run: usize, reason: &'static str, note: &str) -> Draft {
        let text = EventText { reason, action: "Do", warns: false, note: note.to_owned() };
        let subject = Subject::Run { path: format!("ns/run-{run}"), uid: run.to_string() };
        let repository = RepositoryKey::new("ns", "repo").unwrap();
        Draft { subject, repository, text, at: Timestamp::UNIX_EPOCH, count: 1, name: None }
    }

    fn all(mailbox: &Mailbox) -> Vec<Draft> {
        std::iter::from_fn(|| mailbox.state().pop()).collect()
    }

    #[test]
    fn while_few_wait_to_be_written_every_word_is_kept_in_order() {
        let mailbox = Mailbox::default();
        for reason in ["Waiting", "Admitted", "Started"] {
            mailbox.put(draft(1, reason, reason));
        }
        assert_eq!(
            all(&mailbox).iter().map(|draft| draft.text.reason).collect::<Vec<_>>(),
            ["Waiting", "Admitted", "Started"]
        );
    }

    #[test]
    fn where_many_wait_to_be_written_the_newest_word_on_each_run_is_kept() {
        let mailbox = Mailbox::default();
        for reason in ["Waiting", "Admitted", "Started"] {
            for run in 0..EVERY_WORD * 2 {
                mailbox.put(draft(run, reason, reason));
            }
        }
        let kept = all(&mailbox);
        assert_eq!(kept.iter().filter(|draft| draft.text.reason == "Started").count(), EVERY_WORD * 2, "none is lost");
        assert!(kept.len() < EVERY_WORD * 3, "{}", kept.len());
    }

    #[test]
    fn of_two_places_of_a_run_the_newer_is_told() {
        let mailbox = Mailbox::default();
        let (repository, run) = (RepositoryKey::new("ns", "repo").unwrap(), RunKey::new("ns", "a", "1").unwrap());
        for place in [20, 19] {
            mailbox.tell_place(&repository, &run, place, Timestamp::UNIX_EPOCH);
        }
        let told = all(&mailbox);
        assert_eq!(told.len(), 1);
        assert!(told[0].text.note.ends_with("at place 19"), "{told:?}");
    }

    #[test]
    fn what_could_not_be_written_is_written_later_unless_it_is_past() {
        let mailbox = Mailbox::default();
        mailbox.put(draft(2, "Started", "started"));
        mailbox.put_back(draft(1, "Admitted", "admitted"));
        mailbox.put_back(draft(2, "Admitted", "admitted"));
        let kept: Vec<_> = all(&mailbox).into_iter().map(|draft| (draft.subject, draft.text.reason)).collect();
        assert_eq!(kept, [(draft(2, "", "").subject, "Started"), (draft(1, "", "").subject, "Admitted")]);
    }

    #[test]
    fn the_same_news_of_a_repository_are_counted_while_they_wait() {
        let mailbox = Mailbox::default();
        let subject = Subject::Repository(RepositoryKey::new("ns", "repo").unwrap());
        for _ in 0..3 {
            mailbox.put(Draft { subject: subject.clone(), ..draft(1, "Started", "a PipelineRun was started") });
        }
        let kept = all(&mailbox);
        assert_eq!(kept.iter().map(|draft| draft.count).collect::<Vec<_>>(), [3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_due_when_it_changed_and_not_too_often() {
        let (mailbox, run) = (Mailbox::default(), RunKey::new("ns", "a", "1").unwrap());
        let patience = Duration::from_secs(25);
        let due = |place, at: Instant| {
            let (due, too_soon) = mailbox.due(vec![(run.clone(), place)], patience, at);
            (due.len(), too_soon)
        };
        let now = Instant::now();
        assert_eq!(due(5, now), (1, false), "nothing was told of it yet");
        mailbox.note_place("1", 5);
        assert_eq!(due(5, now + patience), (0, false));
        assert_eq!(due(4, now), (0, true));
        assert_eq!(due(4, now + patience), (1, false));
        assert_eq!(due(5, now + PLACE_STANDS), (1, false), "the API server is about to drop it");
    }
}
