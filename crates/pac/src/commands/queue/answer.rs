//! `queue list`, `show` and `explain`.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_watcher::queue::history::{Record, watcher};
use pac_watcher::queue::view::{
    Answer, Explanation, LimitView, Overview, PauseView, Queues, RepositoryQueue, SlotView, WaitingView, WatcherView,
};

use super::Failure;
use super::admin::Admin;
use super::output::{Page, print};
use super::table::{Set, shortened, table};
use super::times::{estimate, since, span, time};
use crate::cli::queue::{Output, Queue, What};

/// How often `--watch` asks.
const AGAIN: Duration = Duration::from_secs(2);
/// So many of those that wait are shown of a repository; `-o json` has all.
const WAITING_SHOWN: usize = 50;
/// So many of the latest records are shown.
const HISTORY_SHOWN: usize = 15;
/// So many of those ahead are named.
const AHEAD_SHOWN: usize = 5;

pub(super) async fn answer(queue: &Queue) -> Result<(), Failure> {
    let admin = Admin::find(&queue.reach).await?;
    loop {
        let (form, again) = (queue.form.output, queue.form.watch);
        let is_read = match &queue.what {
            What::List => {
                let overview: Overview = admin.get("/debug/queue/summary", &[]).await?;
                print(&overview, form, again, list)?
            }
            What::Show { repository } => {
                let queues: Queues = admin.get("/debug/queue", &[("repository", repository.as_str())]).await?;
                print(&queues, form, again, show)?
            }
            What::Explain { run } => {
                let path = run.path();
                let told: Explanation = admin.get("/debug/queue/explain", &[("run", path.as_str())]).await?;
                let unknown = told.answer == Answer::Unknown && !again;
                let is_read = unknown && form == Output::Table || print(&told, form, again, explain)?;
                if unknown {
                    return Err(Failure::Missing(told.because));
                }
                is_read
            }
            What::Release { .. } | What::Pause { .. } | What::Resume { .. } => false,
        };
        if !queue.form.watch || !is_read {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn list(overview: &Overview, width: usize) -> Page {
    let mut page = Page::default();
    trouble(&mut page, &overview.watcher);
    let columns = [
        ("REPOSITORY", Set::Cut),
        ("LIMIT", Set::Right),
        ("RUNNING", Set::Right),
        ("WAITING", Set::Right),
        ("OLDEST", Set::Right),
        ("NOTE", Set::Cut),
    ];
    let rows = overview.repositories.iter().map(|one| {
        vec![
            one.repository.clone(),
            one.limit.text.clone(),
            one.running.to_string(),
            one.waiting.to_string(),
            one.oldest_waiting_seconds.map_or_else(String::new, |seconds| span(seconds as f64)),
            note(&one.limit, one.paused.as_ref()),
        ]
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        page.line("There is no Repository.");
    } else {
        page.table(table(&columns, &rows, width));
    }
    page
}

fn show(queues: &Queues, width: usize) -> Page {
    let mut page = Page::default();
    let now = queues.watcher.at;
    trouble(&mut page, &queues.watcher);
    for queue in &queues.repositories {
        let (running, waiting) = (queue.running.len(), queue.waiting.len());
        page.title(format!("{}: limit {}, {running} running, {waiting} waiting", queue.repository, queue.limit.text));
        let note = note(&queue.limit, queue.paused.as_ref());
        if !note.is_empty() {
            page.warning(note);
        }
        if let Some(why) = &queue.store_trouble {
            page.warning(format!("from what the cluster shows alone, the store was not asked: {why}"));
        }
        slots(&mut page, &queue.running, now, width);
        waiting_runs(&mut page, queue, now, width);
        history(&mut page, &queue.history, now, width);
    }
    page
}

fn explain(told: &Explanation, width: usize) -> Page {
    let mut page = Page::default();
    let now = told.watcher.at;
    trouble(&mut page, &told.watcher);
    match &told.repository {
        Some(repository) => page.title(format!("{} of {repository}: {}", told.run, word(told.answer))),
        None => page.title(format!("{}: {}", told.run, word(told.answer))),
    }
    page.line(format!("{}.", sentence(&told.because)));
    if told.answer == Answer::Waiting {
        let position = told.position.map_or_else(|| "?".to_owned(), |position| position.to_string());
        page.line(format!("Place {position}; starts in {}, nine times in ten.", estimate(told.estimate)));
    }
    if !told.ahead.is_empty() {
        page.line(format!("Before it: {}", named(&told.ahead)));
    }
    if matches!(told.answer, Answer::Waiting | Answer::Refused | Answer::PlaceToCome | Answer::Paused) {
        slots(&mut page, &told.holders, now, width);
    }
    history(&mut page, &told.history, now, width);
    page
}

fn named(ahead: &[String]) -> String {
    let shown = ahead.iter().take(AHEAD_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match ahead.len().saturating_sub(AHEAD_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn slots(page: &mut Page, slots: &[SlotView], now: Timestamp, width: usize) {
    if slots.is_empty() {
        return;
    }
    let columns = [("RUNNING", Set::Cut), ("FOR", Set::Right), ("STATE", Set::Left), ("SLOT FROM", Set::Cut)];
    let rows: Vec<_> = slots
        .iter()
        .map(|slot| {
            let holder = slot.holder.as_deref().map_or("none", watcher);
            let lapsed = if slot.lapsed { " (its lease ran out)" } else { "" };
            vec![slot.run.clone(), since(slot.since, now), slot.state.clone(), format!("{holder}{lapsed}")]
        })
        .collect();
    page.line("");
    page.table(table(&columns, &rows, width));
}

fn waiting_runs(page: &mut Page, queue: &RepositoryQueue, now: Timestamp, width: usize) {
    if queue.waiting.is_empty() {
        return;
    }
    let columns =
        [("#", Set::Right), ("WAITING", Set::Cut), ("FOR", Set::Right), ("STARTS IN", Set::Left), ("NOTE", Set::Cut)];
    let row = |run: &WaitingView| {
        vec![
            run.position.to_string(),
            run.run.clone(),
            since(run.since, now),
            estimate(run.estimate),
            run.note.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = queue.waiting.iter().take(WAITING_SHOWN).map(row).collect();
    page.line("");
    page.table(table(&columns, &rows, width));
    if queue.waiting.len() > WAITING_SHOWN {
        page.line(format!("   and {} more", queue.waiting.len() - WAITING_SHOWN));
    }
}

fn history(page: &mut Page, history: &[Record], now: Timestamp, width: usize) {
    if history.is_empty() {
        return;
    }
    let columns = [("AGO", Set::Right), ("RUN", Set::Left), ("WHAT HAPPENED", Set::Cut)];
    let rows: Vec<_> = history[history.len().saturating_sub(HISTORY_SHOWN)..]
        .iter()
        .map(|record| {
            let name = record.run.as_deref().and_then(|run| run.split_once('/')).map_or("", |(_, name)| name);
            vec![since(Some(record.at), now), name.to_owned(), record.what.to_string()]
        })
        .collect();
    page.line("");
    page.table(table(&columns, &rows, width));
}

/// What is wrong with the watcher itself: it is said first, since all that follows may be of the past.
fn trouble(page: &mut Page, watcher: &WatcherView) {
    match watcher.system.as_str() {
        "off" => page.warning("The concurrency system is switched off (concurrency-enabled is false)."),
        "starting" => page.warning(format!("Watcher {} is not at work yet.", watcher.identity)),
        _ if !watcher.leading => {
            page.warning(format!("Told by {}, which doesn't lead: it knows less of the past.", watcher.identity));
        }
        _ => {}
    }
    for line in &watcher.trouble {
        page.warning(format!("In trouble: {}", shortened(line, 500)));
    }
}

fn note(limit: &LimitView, paused: Option<&PauseView>) -> String {
    let pause = paused.map(|pause| {
        let until = pause.until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
        let complaint = pause.complaint.as_ref().map(|complaint| format!(" ({complaint})")).unwrap_or_default();
        format!("paused{until}: {}{complaint}", pause.reason)
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
