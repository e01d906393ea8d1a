//! What `queue advise` prints for people: what the last week would have been under other limits, and how sure that is.

use pac_advice::{Advice, CHECK_WITHIN, FEWEST_DAYS, LimitAdvice, WaitTimes};
use pac_kube::api::Repository;

use crate::output::{Page, Shown};
use crate::pages::qualified;
use crate::table::{Set, table};
use crate::times::{span, time};

impl Shown for Advice {
    fn write(&self, page: &mut Page) {
        write(page, self);
    }

    fn names(&self) -> Vec<String> {
        vec![qualified::<Repository>(&self.repository)]
    }
}

fn write(page: &mut Page, advice: &Advice) {
    page.title(format!("{}: what the waits would have been under other limits", advice.repository));
    let days = advice.days();
    page.line(format!(
        "By {} runs that came in {} until {}; the limit is {} now. Measured: {}.",
        advice.runs,
        span(days * 86_400.0),
        time(advice.until),
        advice.limit_now.text,
        waits(advice.measured)
    ));
    let columns = [
        ("LIMIT", Set::Right),
        ("WAIT (50%)", Set::Right),
        ("WAIT (90%)", Set::Right),
        ("OTHER WEEKS (90%)", Set::Left),
        ("SLOTS USED", Set::Right),
        ("NOTE", Set::Text),
    ];
    let rows: Vec<_> = advice.limits.iter().map(|one| row(one, advice)).collect();
    page.table(table(&columns, &rows, page.width));
    page.line("");
    how_sure(page, advice, days);
    page.line(
        "Assumed: runs come when they came and take as long as they took, though people who wait for one run before they push the \
         next would push sooner under a higher limit, and many runs at once may slow each other down. Cancellations and pauses come \
         when they came. Nobody waits when the time looked at begins.",
    );
}

fn row(one: &LimitAdvice, advice: &Advice) -> Vec<String> {
    let is_now = one.limit.to_string() == advice.limit_now.text;
    let mut notes = Vec::new();
    if is_now {
        notes.push("now".to_owned());
    }
    if !one.keeps_up {
        notes.push(format!(
            "too low: {} still wait at the end, and waits grow as long as runs come like this",
            one.still_waiting
        ));
    }
    if one.left_waiting > 0 {
        notes.push(format!("{} cancelled while they wait", one.left_waiting));
    }
    vec![
        one.limit.to_string(),
        span(one.waits.median_seconds),
        span(one.waits.p90_seconds),
        one.p90_between.map_or_else(|| "?".to_owned(), |(low, high)| format!("{} to {}", span(low), span(high))),
        format!("{:.0} %", one.utilisation * 100.0),
        notes.join("; "),
    ]
}

/// How far the figures are to be trusted.
fn how_sure(page: &mut Page, advice: &Advice, days: f64) {
    let check = format!("the same replay under the limits that held says: {}", waits(advice.check));
    if advice.is_sound() {
        page.line(format!(
            "How sure: {check}, which is what was measured or within {:.0} % of it.",
            CHECK_WITHIN * 100.0
        ));
    } else {
        page.warning(format!(
            "How sure: hardly, since {check}, which is not what was measured: runs waited for something besides the limit (a watcher \
             or an API server that was away, starts that were refused, PAC's own queue), or had slots that aren't known.",
        ));
    }
    if days.ceil() < FEWEST_DAYS as f64 {
        page.line(format!("How much weeks differ can't be said before {FEWEST_DAYS} days are known."));
    } else {
        page.line("Other weeks: of weeks made of these days, drawn by lot, nine in ten are between the two.");
    }
    if advice.guessed > 0 {
        page.line(format!(
            "{} of the runs were cancelled or haven't ended: they are taken to last as long as others that lasted longer than they \
             had by then.",
            advice.guessed
        ));
    }
}

fn waits(waits: WaitTimes) -> String {
    format!("half waited up to {}, nine in ten up to {}", span(waits.median_seconds), span(waits.p90_seconds))
}
