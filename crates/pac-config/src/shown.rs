//! How a value appears in a message: quoted, short, and without the password that someone put into a URL.

use crate::secret::HIDDEN;

/// The longest value a message quotes, in characters.
const LONGEST: usize = 120;

/// The value in quotes, control characters escaped.
pub(crate) fn quoted(value: &str) -> String {
    format!("{:?}", masked(value))
}

/// The value as a table shows it: one line, short, passwords masked.
pub(crate) fn plain(value: &str) -> String {
    masked(value).chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Hides what looks like a password inside a value that should not have one: `scheme://user:password@host`,
/// `user:password@host` and `password=…`. A lone `user@tenant` has no password and stays as it is.
fn masked(value: &str) -> String {
    let mut text = mask_assignment(&mask_user_info(value));
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST).chain(['…']).collect();
    }
    text
}

fn mask_user_info(value: &str) -> String {
    let Some(at) = value.rfind('@') else {
        return value.to_owned();
    };
    if !value[..at].contains(':') {
        return value.to_owned();
    }
    let start = value[..at].find("://").map_or(0, |scheme| scheme + "://".len());
    format!("{}{HIDDEN}{}", &value[..start], &value[at..])
}

fn mask_assignment(value: &str) -> String {
    // Only ASCII letters change their case here, so that positions stay the same.
    let lower = value.to_ascii_lowercase();
    let words = ["password", "passwd", "pwd"];
    let found = words.iter().filter_map(|word| lower.find(word).map(|position| position + word.len())).min();
    match found {
        Some(end) if value[end..].trim_start().starts_with(['=', ':']) => {
            format!("{}={HIDDEN}", &value[..end])
        }
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        assert_eq!(quoted("postgres://me:hunter2@db/x"), r#""postgres://********@db/x""#);
        assert_eq!(quoted("me:hunter2@db"), r#""********@db""#);
        assert_eq!(quoted("http://a:1,http://me:p@ss@b"), r#""http://********@b""#);
    }

    #[test]
    fn passwords_in_connection_strings_are_masked() {
        assert_eq!(quoted("host=db PASSWORD = hunter2"), r#""host=db PASSWORD=********""#);
        assert_eq!(quoted("jdbc:x?user=a&password=hunter2"), r#""jdbc:x?user=a&password=********""#);
    }

    #[test]
    fn a_user_of_a_tenant_is_shown() {
        assert_eq!(quoted("pac_user@tenant"), r#""pac_user@tenant""#);
    }

    #[test]
    fn control_characters_are_escaped_and_long_values_cut() {
        assert_eq!(quoted("a\nb\u{1b}[1m"), r#""a\nb\u{1b}[1m""#);
        assert_eq!(quoted(&"é".repeat(500)).chars().count(), 123);
        assert_eq!(plain("a\nb"), "a b");
    }
}
