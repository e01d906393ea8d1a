//! A thousand runs that wait in fifty Repositories, twenty minutes of slots that turn over, and a clock that nobody waits for.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use pac_concurrency::RunKey;
use pac_kube::notice::Notice;
use tokio::time::Instant;

use super::books::Book;
use super::pace::{Budget, Pace};
use crate::queue::Wanted;

const REPOSITORIES: u64 = 50;
const WAITING: u64 = 20;
const LASTS: Duration = Duration::from_secs(1200);

/// A repository: its queue, and what its runs say.
struct Queue {
    /// A slot becomes free so often.
    every: Duration,
    moved: u64,
    waiting: VecDeque<RunKey>,
    says: HashMap<RunKey, Notice>,
    looked: Duration,
    book: Book,
    /// Since when each run has said what is too far from the truth.
    wrong: HashMap<RunKey, Duration>,
}

fn run(queue: u64, number: u64) -> RunKey {
    RunKey::new("ns", &format!("run-{queue}-{number}"), &format!("{queue}-{number}")).unwrap()
}

impl Queue {
    fn new(number: u64) -> Self {
        Self {
            every: Duration::from_secs(60 + 2 * number),
            moved: 0,
            waiting: (0..WAITING).map(|run_number| run(number, run_number)).collect(),
            says: HashMap::new(),
            looked: Duration::ZERO,
            book: Book::default(),
            wrong: HashMap::new(),
        }
    }

    /// Whoever got a slot until `at` leaves; as many come.
    fn advance(&mut self, number: u64, at: Duration) {
        while self.every * (self.moved as u32 + 1) <= at {
            if let Some(started) = self.waiting.pop_front() {
                self.says.remove(&started);
                self.wrong.remove(&started);
            }
            self.waiting.push_back(run(number, WAITING + self.moved));
            self.moved += 1;
        }
    }

    fn is(&self, place: usize) -> Notice {
        // The slot before it is free when its place is the first.
        let start = self.every * (self.moved as u32 + place as u32);
        Notice {
            place: Some(place as u32),
            reason: "it waits".to_owned(),
            expected_start: Some(start.as_secs() as i64),
        }
    }

    fn wanted(&self) -> Vec<Wanted> {
        let wanted = |(place, run): (usize, &RunKey)| Wanted {
            run: run.clone(),
            notice: Some(self.is(place)),
            shown: self.says.get(run).map(Notice::mark),
        };
        (1..).zip(&self.waiting).map(wanted).collect()
    }

    /// For how long any of its runs has said what is too far from the truth.
    fn judge(&mut self, pace: &Pace, at: Duration) -> Duration {
        let mut longest = Duration::ZERO;
        for (place, run) in (1..).zip(&self.waiting) {
            let (says, is) = (self.says.get(run).map(Notice::mark), self.is(place).mark());
            if pace.differs(says, Some(is), at.as_secs() as i64) {
                longest = longest.max(at - *self.wrong.entry(run.clone()).or_insert(at));
            } else {
                self.wrong.remove(run);
            }
        }
        longest
    }
}

#[test]
fn a_thousand_runs_are_true_within_their_bounds_at_every_look_and_no_second_has_too_many_writes() {
    let (pace, began) = (Pace::default(), Instant::now());
    let mut queues: Vec<Queue> = (0..REPOSITORIES).map(Queue::new).collect();
    let mut budget = Budget::new(pace.rate, began);
    let mut writes: HashMap<RunKey, Vec<Duration>> = HashMap::new();
    let (mut at, mut longest, mut looks) = (Duration::ZERO, Duration::ZERO, 0);
    while at < LASTS {
        let next = (0..).zip(&queues).filter(|(_, queue)| queue.looked + pace.looks.0 <= at);
        let Some((number, _)) = next.min_by_key(|(_, queue)| queue.looked) else {
            at += Duration::from_millis(100);
            continue;
        };
        let queue = &mut queues[number as usize];
        queue.looked = at;
        queue.advance(number, at);
        longest = longest.max(queue.judge(&pace, at));
        looks += 1;
        let due = queue.book.compare(queue.wanted(), began + at, at.as_secs() as i64, &pace);
        for due in due.into_iter().take(pace.rate as usize * 2) {
            while let Err(wait) = budget.take(began + at) {
                at += wait + Duration::from_millis(1);
            }
            queue.advance(number, at);
            if queue.waiting.contains(&due.run) {
                let notice = due.notice.unwrap();
                queue.book.wrote(&due.run, Some(Some(notice.mark())), began + at);
                writes.entry(due.run.clone()).or_default().push(at);
                queue.wrong.remove(&due.run);
                queue.says.insert(due.run, notice);
            }
        }
    }
    let count: usize = writes.values().map(Vec::len).sum();
    let closest = writes.values().flat_map(|of| of.windows(2).map(|pair| pair[1] - pair[0])).min().unwrap();
    let mut times: Vec<Duration> = writes.into_values().flatten().collect();
    times.sort_unstable();
    let in_a_second = |(at, first): (usize, &Duration)| {
        times[at..].iter().take_while(|other| **other < *first + Duration::from_secs(1)).count()
    };
    let busiest = times.iter().enumerate().map(in_a_second).max().unwrap();
    println!(
        "{looks} looks at 20 runs each; wrong for {longest:?} at most; {count} writes in {at:?}, the busiest second {busiest}, the \
         closest of one run {closest:?}"
    );
    assert!(closest >= pace.rests && busiest <= 2 * pace.rate as usize, "{closest:?}, {busiest}");
    // Nobody has said anything at first, which takes 100 s to write by itself; a minute, what it takes to settle, and the looks.
    assert!(longest <= Duration::from_secs(1000 / u64::from(pace.rate)) + pace.rests + pace.settles * 4, "{longest:?}");
    assert!(count > 3000 && looks > 2000, "{count} writes, {looks} looks");
}
