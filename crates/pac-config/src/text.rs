//! Text as editors save it: UTF-8, perhaps with a byte order mark in front.

/// What some editors write before the text. It is no part of it.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The text of `bytes` without a byte order mark; an error says what they are instead.
pub(crate) fn decoded_text(bytes: Vec<u8>) -> Result<String, &'static str> {
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => Err(not_text(error.as_bytes())),
    }
}

/// Whether `bytes` begin with the mark.
pub(crate) fn has_mark(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK)
}

/// What bytes are that are no UTF-8.
pub(crate) fn not_text(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        "is UTF-16 text, as Windows' tools write it; save it as UTF-8"
    } else {
        "is not UTF-8 text"
    }
}

/// Whether it is a number without sign and point.
pub(crate) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_no_part_of_the_text_and_other_encodings_are_named() {
        assert_eq!(decoded_text(b"\xEF\xBB\xBFtrue".to_vec()), Ok("true".to_owned()));
        assert_eq!(decoded_text(b"true".to_vec()), Ok("true".to_owned()));
        for utf16 in [b"\xFF\xFEt\0".to_vec(), b"\xFE\xFF\0t".to_vec()] {
            assert!(decoded_text(utf16).unwrap_err().contains("UTF-16"));
        }
        assert_eq!(decoded_text(vec![0x80]), Err("is not UTF-8 text"));
    }
}
