//! `pac-watcher shadow report`: what an administrator takes to a meeting.

use std::process::ExitCode;

use pac_queue::shadow::{DAYS_KEPT, Drift, DriftKind, RepositoryShadow, ShadowReport, ShadowTotals, Times};

use crate::admin::Admin;
use crate::args::{DryRun, Form, Output, Shadow, ShadowWhat};
use crate::output::{Page, Printer, Shown};
use crate::table::{Set, table};
use crate::times::{span, time};
use crate::{Failure, ended};

/// Finds the pod.
const LABEL: &str = "app.kubernetes.io/name=pac-concurrency-shadow";
/// So many Repositories are named, those first whose runs waited the longest in vain.
const WORST_SHOWN: usize = 5;
/// So many records of drift are shown, the latest; `-o json` has all.
const DRIFT_SHOWN: usize = 20;
/// So many runs are named in one record.
const RUNS_SHOWN: usize = 5;

/// Does what `shadow` asks. See `pac-watcher shadow --help` for the exit codes.
pub(crate) async fn shadow(shadow: &Shadow) -> ExitCode {
    let ShadowWhat::Report = shadow.what;
    ended(ask(shadow).await)
}

async fn ask(shadow: &Shadow) -> Result<(), Failure> {
    if shadow.output == Output::Name {
        return Err(Failure::Usage("-o name: a report has no names".to_owned()));
    }
    let admin = Admin::find_labelled(&shadow.reach, LABEL).await?;
    let report: ShadowReport = admin.get("/debug/shadow", &[]).await?;
    let output = shadow.output.clone();
    let form = Form { output, sort_by: None, no_headers: false, watch: false, dry_run: DryRun::None };
    Printer::new(&form).answer(&report).map(drop)
}

// === impl ShadowReport ===

impl Shown for ShadowReport {
    fn write(&self, page: &mut Page) {
        write(page, self);
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn write(page: &mut Page, report: &ShadowReport) {
    let watched = span(report.at.duration_since(report.since).as_secs_f64());
    page.title(format!(
        "What PAC's own queue did, and what pac-watcher would have done: as {} saw it",
        report.identity
    ));
    page.line(format!(
        "Watched since {}, for {watched}. {} Repositories have a limit. The figures are of at most {DAYS_KEPT} days.",
        time(report.since),
        report.limited_repositories
    ));
    if report.unseen_seconds >= 1.0 {
        page.warning(format!(
            "For {} of that the API server wasn't heard; what happened then isn't counted.",
            span(report.unseen_seconds)
        ));
    }
    totals(page, &report.total);
    worst(page, &report.repositories);
    days(page, report);
    drift(page, report);
}

fn totals(page: &mut Page, total: &ShadowTotals) {
    let columns = [("", Set::Left), ("PAC'S QUEUE", Set::Right), ("PAC-WATCHER", Set::Right)];
    let row = |what: &str, pacs: String, ours: String| vec![what.to_owned(), pacs, ours];
    let pair = |what: &str, of: fn(&Times) -> f64| row(what, times(&total.waits, of), times(&total.would_have, of));
    let rows = [
        row("runs that waited and were started", total.started.to_string(), total.would_have.count.to_string()),
        pair("wait, median", |times| times.median_seconds),
        pair("wait, 95 in 100 at most", |times| times.p95_seconds),
        pair("wait, longest", |times| times.longest_seconds),
        pair("wait, all together", |times| times.total_seconds),
        row("slots idle while somebody waited", hours(total.idle_slot_seconds), hours(0.0)),
        row("slot idle between two runs, median", times(&total.hand_offs, |times| times.median_seconds), String::new()),
        row(
            "slot idle between two runs, longest",
            times(&total.hand_offs, |times| times.longest_seconds),
            String::new(),
        ),
        row("times over the limit", total.times_over.to_string(), "0".to_owned()),
        row("runs over the limit", hours(total.over_run_seconds), hours(0.0)),
        row("runs forgotten beside a free slot", total.forgotten.to_string(), "0".to_owned()),
        row("runs passed by others behind them", total.passed.to_string(), "0".to_owned()),
    ];
    page.table(table(&columns, &rows, page.width));
    page.line(
        "The right column is computed: the same runs, each queued when it was and running as long as it did, by place, and a slot \
         handed on at once.",
    );
    if total.assumed > 0 {
        page.line(format!(
            "Of {} runs nobody knows how long they would have run; they are taken to run as long as others of their Repository.",
            total.assumed
        ));
    }
}

fn worst(page: &mut Page, repositories: &[RepositoryShadow]) {
    let lost = |one: &RepositoryShadow| one.total.waits.total_seconds - one.total.would_have.total_seconds;
    let mut worst: Vec<&RepositoryShadow> = repositories.iter().collect();
    let key = |one: &RepositoryShadow| lost(one).max(one.total.idle_slot_seconds);
    worst.sort_by(|one, other| key(other).total_cmp(&key(one)));
    if worst.is_empty() {
        return page.line("No run of a Repository with a limit has waited yet.");
    }
    let columns = [
        ("THE WORST", Set::Name),
        ("LIMIT", Set::Right),
        ("STARTED", Set::Right),
        ("WAIT (95%)", Set::Right),
        ("WOULD HAVE", Set::Right),
        ("IDLE", Set::Right),
        ("OVER", Set::Right),
        ("FORGOTTEN", Set::Right),
    ];
    let rows = worst.iter().take(WORST_SHOWN).map(|one| {
        vec![
            one.repository.clone(),
            one.limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string()),
            one.total.started.to_string(),
            times(&one.total.waits, |times| times.p95_seconds),
            times(&one.total.would_have, |times| times.p95_seconds),
            hours(one.total.idle_slot_seconds),
            one.total.times_over.to_string(),
            one.total.forgotten.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    page.table(table(&columns, &rows, page.width));
}

fn days(page: &mut Page, report: &ShadowReport) {
    if report.days.len() < 2 {
        return;
    }
    let columns = [
        ("DAY", Set::Left),
        ("STARTED", Set::Right),
        ("WAIT (95%)", Set::Right),
        ("WOULD HAVE", Set::Right),
        ("IDLE", Set::Right),
        ("OVER", Set::Right),
    ];
    let rows = report.days.iter().map(|day| {
        vec![
            day.day.clone(),
            day.total.started.to_string(),
            times(&day.total.waits, |times| times.p95_seconds),
            times(&day.total.would_have, |times| times.p95_seconds),
            hours(day.total.idle_slot_seconds),
            day.total.times_over.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    page.table(table(&columns, &rows, page.width));
}

fn drift(page: &mut Page, report: &ShadowReport) {
    if report.drift.is_empty() {
        return page.line("PAC's queue lost track of nothing.");
    }
    let columns = [("SINCE", Set::Left), ("FOR", Set::Right), ("REPOSITORY", Set::Name), ("LOST TRACK", Set::Text)];
    let row = |drift: &Drift| {
        let lasted = span(drift.until.unwrap_or(report.at).duration_since(drift.since).as_secs_f64());
        let lasts = if drift.until.is_none() { format!("{lasted}, still") } else { lasted };
        vec![time(drift.since), lasts, drift.repository.clone(), sentence(&drift.what)]
    };
    let shown = &report.drift[report.drift.len() - page.rows(report.drift.len(), DRIFT_SHOWN)..];
    let rows: Vec<_> = shown.iter().map(row).collect();
    page.table(table(&columns, &rows, page.width));
    let more = report.drift_left_out + (report.drift.len() - shown.len()) as u64;
    if more > 0 {
        page.line(format!("and {more} before (-o json has {} of them)", report.drift.len() - shown.len()));
    }
}

fn sentence(what: &DriftKind) -> String {
    match what {
        DriftKind::Forgotten { run, passed_by: 0 } => format!("{run} waited beside a free slot"),
        DriftKind::Forgotten { run, passed_by } => {
            format!("{run} waited beside a free slot, and {passed_by} behind it were started")
        }
        DriftKind::Passed { run, first_by, passed_by: 1 } => {
            format!("{run} waited while {first_by} behind it was started")
        }
        DriftKind::Passed { run, first_by, passed_by } => {
            format!("{run} waited while {passed_by} behind it were started, {first_by} first")
        }
        DriftKind::OverLimit { limit, most, started } => {
            let named = started.iter().take(RUNS_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
            let more = started.len().saturating_sub(RUNS_SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!(
                "{most} ran at a limit of {limit}, as after a restart of PAC's watcher; started on top: {named}{more}"
            )
        }
    }
}

/// One of these times, or nothing where there are none.
fn times(times: &Times, of: fn(&Times) -> f64) -> String {
    if times.count == 0 { "-".to_owned() } else { short(of(times)) }
}

/// Slots or runs times seconds, as hours.
fn hours(seconds: f64) -> String {
    if seconds > 0.0 && seconds < 36.0 { "< 0.01 h".to_owned() } else { format!("{:.2} h", seconds / 3600.0) }
}

/// Below ten seconds a tenth matters.
fn short(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1}s") } else { span(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_short_as_they_are_true() {
        assert_eq!([0.0, 0.04, 12.0].map(short), ["0.0s", "0.0s", "12s"]);
        assert_eq!([0.0, 1.0, 36.0, 9000.0].map(hours), ["0.00 h", "< 0.01 h", "0.01 h", "2.50 h"]);
        assert_eq!(times(&Times::default(), |times| times.longest_seconds), "-");
    }

    #[test]
    fn a_record_is_a_sentence() {
        let started = (0..7).map(|number| format!("ns/run-{number}")).collect();
        let over = sentence(&DriftKind::OverLimit { limit: 2, most: 9, started });
        assert!(over.starts_with("9 ran at a limit of 2") && over.ends_with("ns/run-4 and 2 more"), "{over}");
        let forgotten = |passed_by| sentence(&DriftKind::Forgotten { run: "ns/a".to_owned(), passed_by });
        assert_eq!(forgotten(0), "ns/a waited beside a free slot");
        assert_eq!(forgotten(3), "ns/a waited beside a free slot, and 3 behind it were started");
    }
}
