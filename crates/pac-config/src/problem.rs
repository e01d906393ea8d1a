//! What is wrong with the settings, and what is only suspicious.

use std::fmt;

use crate::key::Key;
use crate::keys::{find_key, keys};
use crate::origin::Origin;
use crate::shown::quoted;

/// One thing that keeps the settings from being used.
///
/// Its `Display` is one line: the key, what is wrong, what is allowed and where the value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as it was written; for a problem of a whole local file, that file.
    pub key: String,
    /// The value as it may be shown, already quoted. `None` for secrets, unknown keys and values that aren't text.
    pub value: Option<String>,
    /// What is allowed instead; empty if there is nothing to say.
    pub allowed: String,
    /// Where the value came from.
    pub origin: Option<Origin>,
    /// What is wrong, in words that name the value where it may be shown.
    pub message: String,
}

/// Everything that is wrong, at once.
///
/// Its `Display` is one problem a line. Not worth a retry: somebody has to change a setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct Problems {
    /// The problems, in the order of the table of keys; at least one.
    pub problems: Vec<Problem>,
    /// What was suspicious as well.
    pub warnings: Vec<Warning>,
}

/// Something that works but is probably not what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The key it is about, as it was written.
    pub key: String,
    /// What is suspicious and what to do about it.
    pub message: String,
}

/// Collects problems and warnings on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
}

// === impl Problem ===

impl Problem {
    /// A problem that quotes no value.
    pub(crate) fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, allowed: String::new(), origin: None, message: message.into() }
    }

    /// A value that its key doesn't allow. The message quotes it itself, unless it is a secret.
    pub(crate) fn of_value(key: &Key, value: &str, message: impl Into<String>, origin: &Origin) -> Self {
        let shown = if key.secret { None } else { Some(quoted(value)) };
        Self { value: shown, allowed: key.allowed.to_owned(), ..Self::new(key.name, message) }.from(origin)
    }

    pub(crate) fn from(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    pub(crate) fn allowing(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = allowed.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)?;
        let mut notes = Vec::new();
        if !self.allowed.is_empty() {
            notes.push(format!("allowed: {}", self.allowed));
        }
        match &self.origin {
            Some(Origin::Default) | None => {}
            Some(origin) => notes.push(format!("from {origin}")),
        }
        if !notes.is_empty() {
            write!(formatter, " ({})", notes.join("; "))?;
        }
        Ok(())
    }
}

// === impl Problems ===

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

// === impl Warning ===

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.message)
    }
}

// === impl Findings ===

impl Findings {
    pub(crate) fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn warn(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Warning { key: key.into(), message: message.into() });
    }

    /// Turns problems of keys that nobody uses into warnings; `note` says why they don't matter yet.
    pub(crate) fn pardon(&mut self, in_use: impl Fn(&Key) -> bool, note: &str) {
        let all = std::mem::take(&mut self.problems);
        for problem in all {
            match find_key(&problem.key) {
                Some(key) if !in_use(key) => {
                    let line = problem.to_string();
                    let message = line.strip_prefix(&format!("{}: ", problem.key)).unwrap_or(&line);
                    self.warn(&problem.key, format!("{message}; {note}"));
                }
                _ => self.problems.push(problem),
            }
        }
    }

    /// Problems in the order of the table, strangers last; the order within a key stays.
    pub(crate) fn sort(&mut self) {
        let place = |name: &str| keys().position(|key| key.name == name).unwrap_or(usize::MAX);
        self.problems.sort_by_key(|problem| place(&problem.key));
        self.warnings.sort_by_key(|warning| place(&warning.key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_key_value_allowed_and_origin() {
        let key = find_key("postgresql-port").unwrap();
        let origin = Origin::ConfigMap { name: "pipelines-as-code/pipelines-as-code".to_owned() };
        let problem = Problem::of_value(key, "54x32", "\"54x32\" is not a port", &origin);
        assert_eq!(
            problem.to_string(),
            "postgresql-port: \"54x32\" is not a port (allowed: 1 to 65535; \
             from ConfigMap pipelines-as-code/pipelines-as-code)"
        );
        assert_eq!(problem.value.as_deref(), Some("\"54x32\""));
    }

    #[test]
    fn problems_are_one_a_line() {
        let problems = Problems { problems: vec![Problem::new("a", "b"), Problem::new("c", "d")], warnings: vec![] };
        assert_eq!(problems.to_string(), "a: b\nc: d");
    }
}
