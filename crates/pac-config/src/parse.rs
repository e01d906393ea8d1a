//! From text to type, one kind of value a function.
//!
//! A parser gets trimmed text without control characters, and says what is wrong in words that quote it.

pub(crate) mod duration;
pub(crate) mod endpoint;
pub(crate) mod host;

use std::path::PathBuf;

use crate::reader::Parsed;
use crate::shown::quoted;
use crate::text::is_digits;

/// The longest name of a database or a user: PostgreSQL cuts longer ones, and two of them could become one.
const LONGEST_NAME: usize = 63;

/// The longest key Kubernetes allows in a Secret, in bytes.
const LONGEST_KEY: usize = 253;

/// true, yes, 1; false, no, 0; in any case.
pub(crate) fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("{} is neither true nor false", quoted(text))),
    }
}

/// A TCP port, 1 to 65535.
pub(crate) fn port(text: &str) -> Parsed<u16> {
    let port = if is_digits(text) { text.parse().ok() } else { None };
    port.filter(|port| *port > 0).ok_or_else(|| format!("{} is not a port", quoted(text)))
}

/// A number of connections, 1 to 1000.
pub(crate) fn connections(text: &str) -> Parsed<u32> {
    if !is_digits(text) {
        return Err(format!("{} is not a number", quoted(text)));
    }
    match text.parse() {
        Ok(0) => Err(format!("{} is too small", quoted(text))),
        Ok(number) if number <= 1000 => Ok(number),
        _ => Err(format!("{} is too large", quoted(text))),
    }
}

/// A name of a database or of its user.
pub(crate) fn name(text: &str) -> Parsed<String> {
    if text.len() > LONGEST_NAME {
        return Err(format!("{} is too long: {} bytes", quoted(text), text.len()));
    }
    Ok(text.to_owned())
}

/// A key of a Secret, as Kubernetes allows them.
pub(crate) fn key_of_secret(text: &str) -> Parsed<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.len() <= LONGEST_KEY && text.bytes().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(format!("{} is not a key of a Secret", quoted(text)))
}

/// Any text.
pub(crate) fn any_text(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

/// A path; whether it can be read is asked later.
pub(crate) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(PathBuf::from(text))
}

/// One of several words, in any case; `wrong` says what it is not.
pub(crate) fn choice<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str, wrong: &str) -> Parsed<T> {
    let found = all.iter().copied().find(|one| name(*one).eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let hint = did_you_mean(nearest(text, all.iter().copied().map(name)));
        format!("{} {wrong}{hint}", quoted(text))
    })
}

/// The word that was probably meant, if one is near: a third of its letters may be wrong.
pub(crate) fn nearest(text: &str, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let distances = words.map(|word| (strsim::damerau_levenshtein(word, &lower), word));
    distances.min().filter(|(distance, word)| *distance * 3 <= word.len()).map(|(_, word)| word)
}

pub(crate) fn did_you_mean(word: Option<&str>) -> String {
    word.map(|word| format!("; did you mean {word}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::EtcdMode;

    #[test]
    fn booleans_are_true_yes_1_and_false_no_0_in_any_case() {
        for text in ["true", "True", "TRUE", "yes", "Yes", "1"] {
            assert_eq!(boolean(text), Ok(true), "{text}");
        }
        for text in ["false", "FALSE", "no", "NO", "0"] {
            assert_eq!(boolean(text), Ok(false), "{text}");
        }
        assert!(boolean("on").is_err());
    }

    #[test]
    fn ports_are_1_to_65535() {
        assert_eq!(port("1"), Ok(1));
        assert_eq!(port("65535"), Ok(65535));
        for text in ["0", "65536", "+1", "-1", "1.0", "٣", "99999999999999999999"] {
            assert!(port(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_choice_is_taken_in_any_case() {
        assert_eq!(choice("MoCk", &EtcdMode::ALL, EtcdMode::name, "is not a mode"), Ok(EtcdMode::Mock));
    }

    #[test]
    fn names_have_63_bytes_at_most() {
        assert!(name(&"x".repeat(63)).is_ok());
        assert!(name(&"é".repeat(32)).is_err());
    }
}
