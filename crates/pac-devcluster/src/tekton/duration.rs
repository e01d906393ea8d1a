//! Durations as Go writes them, which Tekton's fields and messages have.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a duration as Go, the command line and the annotations write it: `250ms`, `2s`, `1.5h`, `1h30m`; none if it is negative.
pub fn parse_duration(text: &str) -> Option<Duration> {
    text.parse::<SignedDuration>().ok()?.try_into().ok()
}

/// As Go prints it: `1h0m0s`, `2.5s`, `250ms`.
pub(super) fn in_go(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let rest = duration - Duration::from_secs(seconds);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let in_seconds = format!("{}s", rest.as_secs_f64() + seconds as f64);
    match (hours, minutes, seconds) {
        (0, 0, 0) if !duration.is_zero() => format!("{}ms", duration.as_secs_f64() * 1000.0),
        (0, 0, _) => in_seconds,
        (0, minutes, _) => format!("{minutes}m{in_seconds}"),
        (hours, minutes, _) => format!("{hours}h{minutes}m{in_seconds}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_go_s() {
        for (text, milliseconds) in
            [("250ms", 250), ("2s", 2_000), ("1m", 60_000), ("1h0m0s", 3_600_000), ("1m30s", 90_000), ("1.5s", 1_500)]
        {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "s", "2", "2d", "-1s", "1s2"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        for (milliseconds, text) in
            [(0, "0s"), (250, "250ms"), (2_500, "2.5s"), (60_000, "1m0s"), (3_600_000, "1h0m0s")]
        {
            assert_eq!(in_go(Duration::from_millis(milliseconds)), text);
        }
    }
}
