//! The durations of settings, each within its bounds.

use std::time::Duration;

use crate::duration::parse_duration;
use crate::reader::Parsed;
use crate::shown::quoted;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);

/// How long to wait for something: 1 ms to 1 h.
pub(crate) fn timeout(text: &str) -> Parsed<Duration> {
    between(text, MILLISECOND, HOUR)
}

/// How long a lease lasts: 10 s to 8760 h. Shorter ones would end between two renewals of a busy watcher.
pub(crate) fn lease(text: &str) -> Parsed<Duration> {
    between(text, Duration::from_secs(10), HOUR * 8760)
}

fn between(text: &str, least: Duration, most: Duration) -> Parsed<Duration> {
    if text.starts_with('-') {
        return Err(format!("{} is negative", quoted(text)));
    }
    let duration = parse_duration(text).map_err(|_| format!("{} is not a duration", quoted(text)))?;
    if duration < least {
        Err(format!("{} is too short", quoted(text)))
    } else if duration > most {
        Err(format!("{} is too long", quoted(text)))
    } else {
        Ok(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds() {
        assert_eq!(timeout("30"), Ok(Duration::from_secs(30)));
    }

    #[test]
    fn units_add_up() {
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(timeout("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(timeout("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(timeout("90m").unwrap_err(), "\"90m\" is too long");
        assert_eq!(lease("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(lease("1h1m1s1ms"), Ok(Duration::from_millis(3_661_001)));
    }

    #[test]
    fn limits_are_included() {
        assert!(timeout("1ms").is_ok() && timeout("0ms").is_err());
        assert!(timeout("1h").is_ok() && timeout("60m1ms").is_err());
        assert!(lease("10s").is_ok() && lease("9s999ms").is_err());
        assert!(lease("8760h").is_ok() && lease("8760h1ms").is_err());
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "s", "5x", "5 s", "1s1m", "1s1s", "1.5h", "+5s", "5S", "5s5", "1h m", "٣s", "5µs", "1d"] {
            assert!(lease(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_too_large_to_count_are_too_long() {
        for text in
            ["99999999999999999999999", "99999999999999999999999h", "18446744073709551615h18446744073709551615m"]
        {
            assert_eq!(lease(text).unwrap_err(), format!("\"{text}\" is too long"));
        }
    }
}
