//! `queue list`, `show` and `explain`.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use pac_queue::estimate::{FEWEST_TIMES, MOST_POSITIONS};
use pac_queue::history::{Record, watcher};
use pac_queue::view::{
    Answer, Explanation, LimitView, Overview, PauseView, Queues, RepositoryQueue, SlotView, WaitingView, WatcherView,
};

use crate::Failure;
use crate::admin::Admin;
use crate::args::{Output, Queue, What};
use crate::output::{Page, Printer};
use crate::table::{Set, table};
use crate::times::{estimate, since, span, time};

/// How often `--watch` asks.
const AGAIN: Duration = Duration::from_secs(2);
/// So many of those that wait are shown of a repository; `-o json` has all.
const WAITING_SHOWN: usize = 50;
/// So many of the latest records are shown.
const HISTORY_SHOWN: usize = 15;
/// So many of those ahead are named.
const AHEAD_SHOWN: usize = 5;

pub(crate) async fn answer(queue: &Queue) -> Result<(), Failure> {
    let mut printer = Printer::new(&queue.form);
    let mut admin = None;
    loop {
        let is_read = match ask(queue, &mut admin, &mut printer).await {
            // Whoever watches is told, and told more when there is more to tell; the watcher may be another by then.
            Err(failure) if queue.form.watch && failure.may_pass(printer.has_printed()) => {
                admin = None;
                printer.trouble(failure.why())?
            }
            answered => answered?,
        };
        if !queue.form.watch || !is_read {
            return Ok(());
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Asks once, and prints what is answered; whether anybody still reads.
async fn ask(queue: &Queue, admin: &mut Option<Admin>, printer: &mut Printer) -> Result<bool, Failure> {
    if admin.is_none() {
        *admin = Some(Admin::find(&queue.reach).await?);
    }
    let Some(admin) = admin else { return Ok(false) };
    match &queue.what {
        What::List => printer.answer(&admin.get::<Overview>("/debug/queue/summary", &[]).await?, list),
        What::Show { repository } => {
            let queues: Queues = admin.get("/debug/queue", &[("repository", repository.as_str())]).await?;
            printer.answer(&queues, show)
        }
        What::Explain { run } => {
            let told: Explanation = admin.get("/debug/queue/explain", &[("run", run.path().as_str())]).await?;
            let unknown = told.answer == Answer::Unknown && !queue.form.watch;
            let is_read = unknown && queue.form.output == Output::Table || printer.answer(&told, explain)?;
            if unknown { Err(Failure::Missing(told.because)) } else { Ok(is_read) }
        }
        What::Release { .. } | What::Pause { .. } | What::Resume { .. } => Ok(false),
    }
}

fn list(page: &mut Page, overview: &Overview) {
    trouble(page, &overview.watcher);
    let columns = [
        ("REPOSITORY", Set::Name),
        ("LIMIT", Set::Right),
        ("RUNNING", Set::Right),
        ("WAITING", Set::Right),
        ("OLDEST", Set::Right),
        ("NOTE", Set::Text),
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
    match overview.watcher.system.as_str() {
        _ if !rows.is_empty() => page.table(table(&columns, &rows, page.width)),
        "on" | "shadow" => page.line("There is no Repository."),
        // Then the cluster isn't watched, and what there is isn't known.
        _ => {}
    }
}

fn show(page: &mut Page, queues: &Queues) {
    let now = queues.watcher.at;
    trouble(page, &queues.watcher);
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
        page.line(format!("Before it: {}", named(&told.ahead)));
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

fn named(ahead: &[String]) -> String {
    let shown = ahead.iter().take(AHEAD_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match ahead.len().saturating_sub(AHEAD_SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn slots(page: &mut Page, slots: &[SlotView], now: Timestamp) {
    if slots.is_empty() {
        return;
    }
    let columns = [("RUNNING", Set::Name), ("FOR", Set::Right), ("STATE", Set::Left), ("SLOT FROM", Set::Text)];
    let rows: Vec<_> = slots
        .iter()
        .map(|slot| {
            let holder = slot.holder.as_deref().map_or("none", watcher);
            let lapsed = if slot.lapsed { " (its lease ran out)" } else { "" };
            vec![slot.run.clone(), since(slot.since, now), slot.state.clone(), format!("{holder}{lapsed}")]
        })
        .collect();
    page.table(table(&columns, &rows, page.width));
}

fn waiting_runs(page: &mut Page, queue: &RepositoryQueue, now: Timestamp) {
    if queue.waiting.is_empty() {
        return;
    }
    let columns =
        [("#", Set::Right), ("WAITING", Set::Name), ("FOR", Set::Right), ("STARTS IN", Set::Left), ("NOTE", Set::Text)];
    let row = |run: &WaitingView| {
        vec![
            run.position.to_string(),
            run.run.clone(),
            since(run.since, now),
            run.estimate.map_or_else(|| "?".to_owned(), estimate),
            run.note.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = queue.waiting.iter().take(WAITING_SHOWN).map(row).collect();
    page.table(table(&columns, &rows, page.width));
    if queue.waiting.len() > WAITING_SHOWN {
        page.line(format!("and {} more (-o json has all)", queue.waiting.len() - WAITING_SHOWN));
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
    let rows: Vec<_> = history[history.len().saturating_sub(HISTORY_SHOWN)..]
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
