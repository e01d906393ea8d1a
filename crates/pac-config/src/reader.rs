//! Reads typed values out of the collected texts, and checks the files that settings name.

use std::io::ErrorKind;

use crate::collect::{Collected, path_of};
use crate::files::{ReadFile, reason};
use crate::key::Key;
use crate::origin::Origin;
use crate::problem::{Findings, Problem};
use crate::secret::Secret;
use crate::shown::quoted;
use crate::text::{has_mark, not_text};

/// What a parser gives: the value, or what is wrong in words that quote the text.
pub(crate) type Parsed<T> = Result<T, String>;

/// Reads one group of keys. Every problem is reported once; the caller sees `None`.
pub(crate) struct Reader<'a> {
    pub(crate) collected: &'a Collected,
    pub(crate) findings: &'a mut Findings,
}

/// The kinds of PEM block a file must have one of.
#[derive(Clone, Copy)]
pub(crate) enum Pem {
    Certificate,
    PrivateKey,
}

// === impl Reader ===

impl Reader<'_> {
    /// The value of a key that has a default. `None` is a problem that was reported.
    pub(crate) fn value<T>(&mut self, key: &'static Key, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        if self.collected.is_set(key) { self.optional(key, parse) } else { parse(key.default).ok() }
    }

    /// The value of a key without a default. `None` is not set, or a problem that was reported.
    pub(crate) fn optional<T>(&mut self, key: &'static Key, parse: impl Fn(&str) -> Parsed<T>) -> Option<T> {
        let found = self.collected.get(key)?;
        let text = found.text.as_deref()?;
        let parsed = if text.chars().any(char::is_control) {
            Err(format!("{} has a control character in it", quoted(text)))
        } else {
            parse(text)
        };
        parsed.map_err(|message| self.findings.problem(Problem::of_value(key, text, message, &found.origin))).ok()
    }

    /// A password, to the byte.
    pub(crate) fn password(&mut self, key: &'static Key) -> Option<Secret> {
        let found = self.collected.get(key)?;
        let text = found.text.as_deref()?;
        if text.contains('\0') {
            self.findings.problem(Problem::new(key, "has a NUL character in it").from(&found.origin));
            return None;
        }
        if has_mark(text.as_bytes()) {
            let message = format!(
                "begins with a byte order mark in {}, which is used as part of the password; if that was not meant, save it \
                 without",
                found.origin
            );
            self.findings.warn(key, message);
        }
        if text.ends_with(['\n', '\r']) {
            let message = format!(
                "ends with a line break in {}, which is used as part of the password; if that was not meant, write it \
                 without (echo -n)",
                found.origin
            );
            self.findings.warn(key, message);
        }
        Some(Secret::new(text))
    }

    /// Checks that the file a key names can be read and holds what it should, if it is to be here.
    pub(crate) fn check_file(&mut self, key: &'static Key, pem: Pem, files: &dyn ReadFile) {
        let Some(path) = path_of(self.collected, key) else { return };
        let shown = path.to_string_lossy();
        let message = match files.read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound && files.may_be_elsewhere() => {
                let message = format!("{} is not on this machine, and was not checked", quoted(&shown));
                return self.findings.warn(key, message);
            }
            Err(error) => format!("{} can't be read: {}", quoted(&shown), reason(&error)),
            // The readers of PEM look for its heading at the start of a line, and the mark stands before the first.
            Ok(content) if has_mark(&content) => {
                format!("{} begins with a byte order mark; save it as UTF-8 without one", quoted(&shown))
            }
            Ok(content) if pem.is_in(&content) => return,
            Ok(content) if std::str::from_utf8(&content).is_err() => {
                format!("{} {}", quoted(&shown), not_text(&content))
            }
            Ok(_) => format!("{} holds no {}", quoted(&shown), pem.words()),
        };
        self.findings.problem(Problem::of_value(key, &shown, message, &self.collected.origin(key)));
    }

    /// A problem of a key in relation to another one.
    pub(crate) fn conflict(&mut self, key: &'static Key, message: impl Into<String>) {
        let problem = Problem::new(key, message);
        self.findings.problem(match self.collected.origin(key) {
            Origin::Default => problem,
            origin => problem.from(&origin),
        });
    }

    /// Two keys that are set both or neither.
    pub(crate) fn together(&mut self, one: &'static Key, other: &'static Key) {
        for (set, missing) in [(one, other), (other, one)] {
            if self.collected.is_set(set) && !self.collected.is_set(missing) {
                let origin = self.collected.origin(set);
                let message = format!("is not set, but {set} is, in {origin}; set both or neither");
                self.findings.problem(Problem::new(missing, message));
            }
        }
    }
}

// === impl Pem ===

impl Pem {
    fn is_in(self, content: &[u8]) -> bool {
        let text = String::from_utf8_lossy(content);
        let mut headings = text.lines().filter(|line| line.trim_start().starts_with("-----BEGIN "));
        headings.any(|line| match self {
            Self::Certificate => line.contains("CERTIFICATE-----"),
            Self::PrivateKey => line.contains("PRIVATE KEY-----"),
        })
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Certificate => "PEM certificate",
            Self::PrivateKey => "PEM private key",
        }
    }
}
