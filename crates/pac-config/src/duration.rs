//! Durations as Go and PAC write them: `500ms`, `30s`, `1m30s`, `1h`; a bare number is seconds. Settings and command lines
//! take no others.

use std::time::Duration;

use crate::text::is_digits;

/// The units in the order they must be written, with their milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// A text that is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a duration such as 500ms, 30s or 1m30s")]
pub struct NotADuration;

/// A sum of whole numbers with units, each unit once, the greater before the smaller.
///
/// A number too large to count comes to more than half a billion years.
///
/// # Errors
///
/// If it is nothing like that, or negative.
pub fn parse_duration(text: &str) -> Result<Duration, NotADuration> {
    if is_digits(text) {
        return Ok(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    if text.is_empty() {
        return Err(NotADuration);
    }
    let mut units = UNITS.iter();
    let mut milliseconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (digits, after) = split(rest, |byte| byte.is_ascii_digit());
        let (unit, after) = split(after, |byte| byte.is_ascii_alphabetic());
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or(NotADuration)?;
        if digits.is_empty() {
            return Err(NotADuration);
        }
        let part = digits.parse().unwrap_or(u64::MAX).saturating_mul(*factor);
        milliseconds = milliseconds.saturating_add(part);
        rest = after;
    }
    Ok(Duration::from_millis(milliseconds))
}

/// The longest start of only such bytes (ASCII ones), and the rest.
fn split(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at(end)
}
