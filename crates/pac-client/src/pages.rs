//! What `queue list`, `show` and `explain` print for people.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Resource;
use pac_kube::api::{PipelineRun, Repository};
use pac_queue::estimate::{FEWEST_TIMES, MOST_POSITIONS};
use pac_queue::history::{Record, watcher};
use pac_queue::view::{
    Answer, Explanation, LimitView, PauseView, RepositoryQueue, SlotView, Summary, WaitingView, WatcherView,
};

use crate::answer::{Details, Listing};
use crate::output::{Page, Shown};
use crate::scope::Listed;
use crate::table::{Set, table};
use crate::times::{estimate, since, span, time};

/// So many of those that wait are shown of a repository at a terminal.
const WAITING_SHOWN: usize = 50;
/// So many of the latest records.
const HISTORY_SHOWN: usize = 15;
/// So many of those ahead are named.
const AHEAD_SHOWN: usize = 5;

// === impl Listing ===

impl Shown for Listing {
    fn write(&self, page: &mut Page) {
        list(page, self);
        if page.width.is_some() {
            self.notes.iter().for_each(|note| page.line(format!("{}.", sentence(note))));
        }
    }

    fn names(&self) -> Vec<String> {
        // Of several namespaces a name alone says too little.
        let name = |one: &Summary| match self.listed {
            Listed::All => one.repository.clone(),
            _ => qualified::<Repository>(&one.repository),
        };
        self.overview.repositories.iter().map(name).collect()
    }
}

// === impl Details ===

impl Shown for Details {
    fn write(&self, page: &mut Page) {
        show(page, self);
    }

    fn names(&self) -> Vec<String> {
        let runs = |one: &RepositoryQueue| {
            let running = one.running.iter().map(|slot| &slot.run);
            running.chain(one.waiting.iter().map(|run| &run.run)).map(|run| qualified::<PipelineRun>(run)).collect()
        };
        self.queues.repositories.iter().flat_map(|one| -> Vec<String> { runs(one) }).collect()
    }
}

impl Shown for Explanation {
    fn write(&self, page: &mut Page) {
        explain(page, self);
    }

    fn names(&self) -> Vec<String> {
        vec![qualified::<PipelineRun>(&self.run)]
    }
}

/// `namespace/name` as kubectl prints names.
pub(crate) fn qualified<K: Resource<DynamicType = ()>>(path: &str) -> String {
    let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
    format!("{}.{}/{name}", K::kind(&()).to_lowercase(), K::group(&()))
}

fn list(page: &mut Page, listing: &Listing) {
    let overview = &listing.overview;
    trouble(page, &overview.watcher);
    let mut columns = vec![
        ("REPOSITORY", Set::Name),
        ("LIMIT", Set::Right),
        ("RUNNING", Set::Right),
        ("WAITING", Set::Right),
        ("OLDEST", Set::Right),
    ];
    if page.wide {
        columns.extend([("FREE", Set::Right), ("OLDEST SINCE", Set::Left)]);
    }
    columns.push(("NOTE", Set::Text));
    let rows = overview.repositories.iter().map(|one| {
        let mut row = vec![
            one.repository.clone(),
            one.limit.text.clone(),
            one.running.to_string(),
            one.waiting.to_string(),
            one.oldest_waiting_seconds.map_or_else(String::new, |seconds| span(seconds as f64)),
        ];
        if page.wide {
            row.extend(wide(one, overview.watcher.at));
        }
        row.push(note(&one.limit, one.paused.as_ref()));
        row
    });
    let rows: Vec<_> = rows.collect();
    match overview.watcher.system.as_str() {
        _ if !rows.is_empty() => page.table(table(&columns, &rows, page.width)),
        "on" | "shadow" => page.line(match (listing.idle, listing.listed.namespace()) {
            (0, Some(namespace)) => format!("There is no such Repository in namespace {namespace}."),
            (0, None) => "There is no such Repository.".to_owned(),
            (_, Some(namespace)) => format!("Nobody runs or waits in namespace {namespace}."),
            (_, None) => "Nobody runs or waits.".to_owned(),
        }),
        // Then the cluster isn't watched, and what there is isn't known.
        _ => {}
    }
}

/// What the wide columns have: slots that are free, and since when the oldest waits.
fn wide(one: &Summary, now: Timestamp) -> [String; 2] {
    let limit: Option<usize> = one.limit.text.parse().ok();
    let free = limit.map_or_else(String::new, |limit| limit.saturating_sub(one.running).to_string());
    let since = one.oldest_waiting_seconds.map(|seconds| time(now - SignedDuration::from_secs(seconds)));
    [free, since.unwrap_or_default()]
}

fn show(page: &mut Page, details: &Details) {
    let queues = &details.queues;
    let now = queues.watcher.at;
    trouble(page, &queues.watcher);
    for queue in &queues.repositories {
        let (running, waiting) = (queue.running.len(), queue.waiting.len());
        page.title(format!("{}: limit {}, {running} running, {waiting} waiting", queue.repository, queue.limit.text));
        let note = note(&queue.limit, queue.paused.as_ref());
        if !note.is_empty() {
            page.warning(note);
        }
        if let Some(selector) = &details.selector {
            page.line(format!("Of all its PipelineRuns, those with {selector}."));
        }
        if let Some(why) = &queue.store_trouble {
            page.warning(format!("from what the cluster shows alone, the store was not asked: {why}"));
        }
        slots(page, &queue.running, now);
        waiting_runs(page, queue, now);
        history(page, &queue.history, now);
    }
}

fn explain(page: &mut Page, told: &Explanation) {
    let now = told.watcher.at;
    trouble(page, &told.watcher);
    match &told.repository {
        Some(repository) => page.title(format!("{} of {repository}: {}", told.run, word(told.answer))),
        None => page.title(format!("{}: {}", told.run, word(told.answer))),
    }
    page.line(format!("{}.", sentence(&told.because)));
    if told.answer == Answer::Waiting {
        page.line(place(told));
    }
    if !told.ahead.is_empty() {
        page.line(format!("Before it: {}", named(&told.ahead, page.rows(told.ahead.len(), AHEAD_SHOWN))));
    }
    if matches!(told.answer, Answer::Waiting | Answer::Refused | Answer::PlaceToCome | Answer::Paused) {
        slots(page, &told.holders, now);
    }
    history(page, &told.history, now);
}

/// Its place, and when it starts, or why that can't be told.
fn place(told: &Explanation) -> String {
    let place =
        told.position.map_or_else(|| "Its place isn't known".to_owned(), |position| format!("Place {position}"));
    match told.estimate {
        Some(range) => format!("{place}; starts in {}, nine times in ten.", estimate(range)),
        None if told.times_known < FEWEST_TIMES => format!("{place}. {}", too_little_known(told.times_known)),
        None if told.position.is_some_and(|position| position > MOST_POSITIONS) => {
            format!("{place}. When it starts can be estimated from place {MOST_POSITIONS} on.")
        }
        None => format!("{place}."),
    }
}

fn too_little_known(times: usize) -> String {
    format!("Starts can be estimated when {FEWEST_TIMES} runs of this Repository have ended; so far {times} have.")
}

fn named(ahead: &[String], shown: usize) -> String {
    let more = ahead.len().saturating_sub(shown);
    let shown = ahead.iter().take(shown).map(String::as_str).collect::<Vec<_>>().join(", ");
    match more {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn slots(page: &mut Page, slots: &[SlotView], now: Timestamp) {
    if slots.is_empty() {
        return;
    }
    let mut columns = vec![("RUNNING", Set::Name), ("FOR", Set::Right), ("STATE", Set::Left)];
    if page.wide {
        columns.extend([("SINCE", Set::Left), ("UID", Set::Left)]);
    }
    columns.push(("SLOT FROM", Set::Text));
    let rows: Vec<_> = slots
        .iter()
        .map(|slot| {
            let holder = slot.holder.as_deref().map_or("none", watcher);
            let lapsed = if slot.lapsed { " (its lease ran out)" } else { "" };
            let mut row = vec![slot.run.clone(), since(slot.since, now), slot.state.clone()];
            if page.wide {
                row.extend([slot.since.map_or_else(String::new, time), slot.uid.clone()]);
            }
            row.push(format!("{holder}{lapsed}"));
            row
        })
        .collect();
    page.table(table(&columns, &rows, page.width));
}

fn waiting_runs(page: &mut Page, queue: &RepositoryQueue, now: Timestamp) {
    if queue.waiting.is_empty() {
        return;
    }
    let mut columns = vec![("#", Set::Right), ("WAITING", Set::Name), ("FOR", Set::Right), ("STARTS IN", Set::Left)];
    if page.wide {
        columns.extend([("CREATED", Set::Left), ("UID", Set::Left)]);
    }
    columns.push(("NOTE", Set::Text));
    let row = |run: &WaitingView| {
        let mut row = vec![
            run.position.to_string(),
            run.run.clone(),
            since(run.since, now),
            run.estimate.map_or_else(|| "?".to_owned(), estimate),
        ];
        if page.wide {
            row.extend([run.since.map_or_else(String::new, time), run.uid.clone()]);
        }
        row.push(run.note.clone().unwrap_or_default());
        row
    };
    let shown = page.rows(queue.waiting.len(), WAITING_SHOWN);
    let rows: Vec<_> = queue.waiting.iter().take(shown).map(row).collect();
    page.table(table(&columns, &rows, page.width));
    if queue.waiting.len() > shown {
        page.line(format!("and {} more (-o wide has all)", queue.waiting.len() - shown));
    }
    if queue.times_known < FEWEST_TIMES {
        page.line(too_little_known(queue.times_known));
    }
}

fn history(page: &mut Page, history: &[Record], now: Timestamp) {
    if history.is_empty() {
        return;
    }
    let columns = [("AGO", Set::Right), ("RUN", Set::Name), ("WHAT HAPPENED", Set::Text)];
    let rows: Vec<_> = history[history.len() - page.rows(history.len(), HISTORY_SHOWN)..]
        .iter()
        .map(|record| {
            let name = record.run.as_deref().and_then(|run| run.split_once('/')).map_or("", |(_, name)| name);
            vec![since(Some(record.at), now), name.to_owned(), record.what.to_string()]
        })
        .collect();
    page.table(table(&columns, &rows, page.width));
}

/// What is wrong with the watcher itself: it is said first, since all that follows may be of the past.
fn trouble(page: &mut Page, watcher: &WatcherView) {
    match watcher.system.as_str() {
        "off" => {
            page.warning("The concurrency system is switched off (concurrency-enabled is false).");
            if let Some(waiting) = watcher.waiting_while_off.filter(|waiting| *waiting > 0) {
                page.warning(format!("PipelineRuns that wait, and that nobody starts: {waiting}."));
            }
        }
        "shadow" => page.warning("Shadow mode: PAC's own queue starts PipelineRuns, and this watcher starts none."),
        _ if watcher.paused => page.warning("Everything is paused (concurrency-paused is true): nobody is admitted."),
        "starting" => page.warning(format!("Watcher {} is not at work yet.", watcher.identity)),
        _ if !watcher.leading => {
            page.warning(format!("Told by {}, which doesn't lead: it knows less of the past.", watcher.identity));
        }
        _ => {}
    }
    for line in &watcher.trouble {
        page.warning(format!("In trouble: {line}"));
    }
}

fn note(limit: &LimitView, paused: Option<&PauseView>) -> String {
    let pause = paused.map(|pause| {
        let until = pause.until.map_or_else(|| "it is resumed".to_owned(), time);
        let complaint = pause.complaint.as_ref().map(|complaint| format!(" ({complaint})")).unwrap_or_default();
        format!("paused until {until}: {}{complaint}", pause.reason)
    });
    let held = limit.why.as_ref().map(|why| format!("held: {why}"));
    pause.into_iter().chain(held).collect::<Vec<_>>().join("; ")
}

fn word(answer: Answer) -> &'static str {
    match answer {
        Answer::Unknown => "unknown",
        Answer::Foreign => "not watched",
        Answer::Done => "done",
        Answer::Running => "running",
        Answer::Released => "released",
        Answer::Starting => "starting",
        Answer::Withdrawn => "withdrawn",
        Answer::SwitchedOff => "switched off",
        Answer::NotReady => "not ready",
        Answer::RepositoryMissing => "its Repository is missing",
        Answer::LimitUnreadable => "its limit can't be told",
        Answer::Paused => "paused",
        Answer::Gate => "PAC's own queue isn't known to be kept out",
        Answer::PacsQueue => "PAC's own queue is at work",
        Answer::StoreUnreachable => "the store can't be reached",
        Answer::ApiServerUnreachable => "the API server can't be reached",
        Answer::Refused => "refused",
        Answer::Arriving => "arriving",
        Answer::PlaceToCome => "its place is still to come",
        Answer::Waiting => "waiting",
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
