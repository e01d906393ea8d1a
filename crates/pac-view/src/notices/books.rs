//! What was written onto whom, and whose turn it is: pure, its clock is whoever asks.

use std::collections::HashMap;
use std::time::Duration;

use pac_concurrency::RunKey;
use pac_kube::notice::{Notice, NoticeMark};
use tokio::time::Instant;

use super::pace::Pace;
use crate::queue::Wanted;

/// How long after our own write the watch may still show what was before it.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(10);

/// The runs of one repository.
#[derive(Debug, Default)]
pub(super) struct Book {
    runs: HashMap<RunKey, Known>,
    /// When it is next somebody's turn, if nothing changes.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    says: Option<NoticeMark>,
    /// When it was last written, by us, or by whoever led before us at the latest.
    written: Option<Instant>,
    /// Since when something else has been so, by so much that it matters.
    wrong_since: Option<Instant>,
}

/// A write whose turn it is.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) run: RunKey,
    /// What to write; none if what is there is to go.
    pub(super) notice: Option<Notice>,
    /// How much it is needed: the longer it is due, and the nearer the run is to its start.
    need: f64,
}

// === impl Book ===

impl Book {
    /// Compares what runs say with what they are to say at `now`, which is `seconds` since 1970; says whose turn it is, those first
    /// who need it most. Runs that aren't among `wanted` are forgotten.
    pub(super) fn compare(&mut self, wanted: Vec<Wanted>, now: Instant, seconds: i64, pace: &Pace) -> Vec<Due> {
        let mut before = std::mem::take(&mut self.runs);
        let mut due = Vec::new();
        self.next = None;
        for Wanted { run, notice, shown } in wanted {
            let mut known = before.remove(&run).unwrap_or_else(|| Known::found(shown, now));
            let mark = notice.as_ref().map(Notice::mark);
            let turn = known.turn(shown, mark, now, seconds, pace);
            if let Some(later) = turn.filter(|turn| *turn > now) {
                self.next = Some(self.next.map_or(later, |next| next.min(later)));
            } else if let Some(since) = turn {
                let late = now.saturating_duration_since(since).as_secs_f64() + 1.0;
                let need = match mark {
                    Some(mark) => late / f64::from(mark.place().unwrap_or(1).saturating_add(10)),
                    None => f64::INFINITY,
                };
                due.push(Due { run: run.clone(), notice, need });
            }
            self.runs.insert(run, known);
        }
        due.sort_by(|one, other| other.need.total_cmp(&one.need));
        due
    }

    /// When it is next somebody's turn, if nothing changes.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Notes that `run` says this now; or, if it could not be written, that it was tried.
    pub(super) fn wrote(&mut self, run: &RunKey, says: Option<Option<NoticeMark>>, now: Instant) {
        if let Some(known) = self.runs.get_mut(run) {
            known.written = Some(now);
            known.wrong_since = None;
            known.says = says.unwrap_or(known.says);
        }
    }
}

// === impl Known ===

impl Known {
    /// One that is seen for the first time: who led before us may have written it just now.
    fn found(shown: Option<NoticeMark>, now: Instant) -> Self {
        Self { says: shown, written: shown.map(|_| now), wrong_since: None }
    }

    /// When a write is due, now or later; none if there is nothing to write.
    fn turn(
        &mut self,
        shown: Option<NoticeMark>,
        wanted: Option<NoticeMark>,
        now: Instant,
        seconds: i64,
        pace: &Pace,
    ) -> Option<Instant> {
        let comes_back_within = COMES_BACK_WITHIN.min(pace.rests);
        let is_back = |written: Instant| now.saturating_duration_since(written) >= comes_back_within;
        if self.written.is_none_or(is_back) {
            self.says = shown;
        }
        if !pace.differs(self.says, wanted, seconds) {
            self.wrong_since = None;
            return None;
        }
        let since = *self.wrong_since.get_or_insert(now);
        Some(match (wanted, self.written) {
            (None, _) => since,
            (Some(_), None) => since + pace.settles,
            (Some(_), Some(written)) => (since + pace.settles).max(written + pace.rests),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::*;
    use crate::notices::pace::Budget;

    fn run(number: usize) -> RunKey {
        RunKey::new("ns", &format!("run-{number}"), &number.to_string()).unwrap()
    }

    fn at_place(place: usize, seconds: i64) -> Notice {
        // Ten seconds a place.
        let expected_start = Some(seconds + 10 * place as i64);
        Notice { place: Some(place as u32), reason: "it waits".to_owned(), expected_start }
    }

    /// A queue as it moves, second by second, with somebody who writes; `says` is what a reader of the cluster finds.
    struct Queue {
        pace: Pace,
        began: Instant,
        waiting: VecDeque<usize>,
        book: Book,
        budget: Budget,
        says: HashMap<usize, Notice>,
        writes: HashMap<usize, Vec<u64>>,
    }

    impl Queue {
        fn new(runs: usize) -> Self {
            let (pace, began) = (Pace::default(), Instant::now());
            Self {
                pace,
                began,
                waiting: (0..runs).collect(),
                book: Book::default(),
                budget: Budget::new(pace.rate, began),
                says: HashMap::new(),
                writes: HashMap::new(),
            }
        }

        fn wanted(&self, second: u64) -> Vec<Wanted> {
            let wanted = |(at, number): (usize, &usize)| Wanted {
                run: run(*number),
                notice: Some(at_place(at + 1, second as i64)),
                shown: self.says.get(number).map(Notice::mark),
            };
            self.waiting.iter().enumerate().map(wanted).collect()
        }

        fn look(&mut self, second: u64) {
            let now = self.began + Duration::from_secs(second);
            let due = self.book.compare(self.wanted(second), now, second as i64, &self.pace);
            for due in due {
                if self.budget.take(now).is_err() {
                    break;
                }
                let number = due.run.uid().parse().unwrap();
                let notice = due.notice.unwrap();
                self.book.wrote(&due.run, Some(Some(notice.mark())), now);
                self.says.insert(number, notice);
                self.writes.entry(number).or_default().push(second);
            }
        }
    }

    #[test]
    fn while_a_queue_moves_a_run_is_written_once_a_minute_and_never_far_from_the_truth() {
        let mut queue = Queue::new(120);
        // For how long each run has said what is too far from the truth.
        let mut wrong: HashMap<usize, u64> = HashMap::new();
        let mut longest = 0;
        for second in 0..1200 {
            if second % 10 == 9 {
                queue.waiting.pop_front();
            }
            queue.look(second);
            for (at, number) in queue.waiting.iter().enumerate() {
                let says = queue.says.get(number).map(Notice::mark);
                let is = Some(at_place(at + 1, second as i64).mark());
                let since = wrong.entry(*number).or_default();
                *since = if queue.pace.differs(says, is, second as i64) { *since + 1 } else { 0 };
                longest = longest.max(*since);
            }
        }
        let all: usize = queue.writes.values().map(Vec::len).sum();
        let closest = queue.writes.values().flat_map(|of| of.windows(2).map(|pair| pair[1] - pair[0])).min();
        println!("{all} writes on 120 runs in 20 minutes; wrong for {longest} s at most; closest {closest:?} s");
        assert!(closest >= Some(60), "{closest:?}");
        // A minute, what it takes to settle, and to be written after 120 others.
        assert!(longest <= 60 + 5 + 12, "{longest}");
        assert!(all < 120 * 11, "{all}");
    }

    #[test]
    fn who_starts_soon_has_nothing_written_and_what_stays_so_is_written_once() {
        let mut queue = Queue::new(2);
        queue.look(0);
        queue.waiting.pop_front();
        for second in 4..600 {
            queue.look(second);
        }
        assert_eq!(queue.writes.get(&0), None, "it started within the time to settle");
        let writes = queue.writes[&1].len();
        // Its expected start slides on, since it never starts.
        assert!((2..=10).contains(&writes), "{writes}");
    }

    #[test]
    fn what_a_run_says_goes_at_once_and_comes_again_after_a_minute() {
        let (pace, began) = (Pace::default(), Instant::now());
        let mark = at_place(1, 0).mark();
        let mut book = Book::default();
        let mut due = |shown, notice: Option<Notice>, at: u64| {
            let now = began + Duration::from_secs(at);
            let due = book.compare(vec![Wanted { run: run(1), notice, shown }], now, 0, &pace);
            due.iter().for_each(|due| book.wrote(&due.run, Some(due.notice.as_ref().map(Notice::mark)), now));
            due.len()
        };
        assert_eq!(due(Some(mark), None, 0), 1, "it waits no more");
        assert_eq!(due(Some(mark), None, 1), 0, "the watch is behind");
        assert_eq!(due(None, Some(at_place(1, 0)), 20), 0);
        assert_eq!(due(None, Some(at_place(1, 0)), 59), 0, "its minute isn't over");
        assert_eq!(due(None, Some(at_place(1, 0)), 60), 1);
    }

    #[test]
    fn what_another_leader_wrote_has_its_minute_and_what_somebody_else_wrote_is_seen() {
        let (pace, began) = (Pace::default(), Instant::now());
        let mut book = Book::default();
        let mut due = |shown: Option<NoticeMark>, at: u64| {
            let wanted = Wanted { run: run(1), notice: Some(at_place(1, 0)), shown };
            let now = began + Duration::from_secs(at);
            let due = book.compare(vec![wanted], now, 0, &pace);
            due.iter().for_each(|due| book.wrote(&due.run, Some(due.notice.as_ref().map(Notice::mark)), now));
            due.len()
        };
        let theirs = Some(at_place(9, 0).mark());
        assert_eq!([due(theirs, 0), due(theirs, 59), due(theirs, 60)], [0, 0, 1]);
        assert_eq!(due(theirs, 65), 0, "our own write is yet to be seen");
        assert_eq!([due(theirs, 75), due(theirs, 120)], [0, 1], "it was taken back by somebody");
    }

    #[test]
    fn those_near_their_start_go_first_but_not_for_ever() {
        let mut queue = Queue::new(1000);
        let mut due_at = |second: u64, write_first: bool| {
            let now = queue.began + Duration::from_secs(second);
            let due = queue.book.compare(queue.wanted(second), now, second as i64, &queue.pace);
            if let Some(first) = due.first().filter(|_| write_first) {
                queue.book.wrote(&first.run, Some(first.notice.as_ref().map(Notice::mark)), now);
            }
            due.into_iter().map(|due| due.run.uid().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(due_at(0, false), [""; 0], "nothing has settled");
        // Nothing was written for an hour.
        let due = due_at(3600, true);
        assert_eq!((due.len(), &*due[0], &*due[999]), (1000, "0", "999"));
        due_at(3670, false);
        let due = due_at(3680, false);
        let place_of = |uid: &str| due.iter().position(|due| due == uid).unwrap();
        assert!(place_of("0") > place_of("999"), "who had a turn has none before the last");
    }

    #[test]
    fn it_is_known_when_it_is_next_somebodys_turn() {
        let (pace, began) = (Pace::default(), Instant::now());
        let mut book = Book::default();
        let wanted = || vec![Wanted { run: run(1), notice: Some(at_place(1, 0)), shown: None }];
        assert!(book.compare(wanted(), began, 0, &pace).is_empty());
        assert_eq!(book.next(), Some(began + pace.settles));
        assert_eq!(book.compare(wanted(), began + pace.settles, 0, &pace).len(), 1);
        assert_eq!(book.next(), None);
    }
}
