//! Text and durations as people write them.

use std::time::Duration;

use pac_config::parse_duration;

pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why".to_owned()),
        text if text.eq_ignore_ascii_case("false") => Err("that is no reason".to_owned()),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let lasts = parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_secs(1)..=Duration::from_hours(24 * 366);
    if bounds.contains(&lasts) { Ok(lasts) } else { Err("from a second to a year".to_owned()) }
}

/// How long to wait for something; not at all, if need be.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text) {
        Ok(Duration::ZERO) => Ok(Duration::ZERO),
        _ => duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90s").unwrap().as_secs(), 90);
        assert_eq!(duration("2h").unwrap().as_secs(), 7200);
        assert_eq!(duration("1h30m").unwrap().as_secs(), 5400);
        assert_eq!(duration("30").unwrap().as_secs(), 30, "as in the settings");
        for text in ["", "-2h", "0s", "2 fortnights", "99999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_timeout_may_be_none_at_all() {
        assert_eq!(timeout("0s"), Ok(Duration::ZERO));
        assert!(timeout("-1s").is_err() && timeout("2m").is_ok());
    }

    #[test]
    fn a_reason_says_something() {
        assert!(reason(" ").is_err() && reason("False").is_err());
        assert_eq!(reason(" registry moves ").unwrap(), "registry moves");
    }
}
