//! Times as people say them.

use k8s_openapi::jiff::Timestamp;
use pac_queue::view::EstimateView;

/// `12s`, `5m`, `2h10m`, `3d4h`.
pub(crate) fn span(seconds: f64) -> String {
    let seconds = if seconds.is_finite() { seconds.max(0.0).round() as u64 } else { 0 };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with_rest = |whole: u64, unit: &str, rest: u64, unit_of_rest: &str| match rest {
        0 => format!("{whole}{unit}"),
        rest => format!("{whole}{unit}{rest}{unit_of_rest}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => with_rest(minutes, "m", seconds % 60, "s"),
        600..7200 => format!("{minutes}m"),
        7200..172_800 => with_rest(hours, "h", minutes % 60, "m"),
        _ => with_rest(days, "d", hours % 24, "h"),
    }
}

/// How long `at` is past at `now`.
pub(crate) fn since(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map_or_else(|| "?".to_owned(), |at| span(now.duration_since(at).as_secs_f64()))
}

/// When a run will start. Rounded outward: what is said must hold.
pub(crate) fn estimate(estimate: EstimateView) -> String {
    let (earliest, latest) = (estimate.earliest_seconds.floor(), estimate.latest_seconds.ceil());
    format!("{} to {}", span(earliest), span(latest))
}

/// A time as people read it: to the second.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let spans = [0.4, 59.6, 125.0, 900.0, 7_500.0, 90_000.0, 273_600.0, -5.0, f64::NAN].map(span);
        assert_eq!(spans, ["0s", "60s", "2m5s", "15m", "2h5m", "25h", "3d4h", "0s", "0s"]);
    }

    #[test]
    fn an_estimate_is_never_narrower_than_it_was_told() {
        let told = EstimateView { earliest_seconds: 1.9, latest_seconds: 3.1 };
        assert_eq!(estimate(told), "1s to 4s");
    }
}
