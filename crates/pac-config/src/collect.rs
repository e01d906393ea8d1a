//! Which way in wins, for each key.
//!
//! Our own ConfigMap, PAC's, the Secret, `PAC_<KEY>_FILE`, `PAC_<KEY>`, in this order; an empty value is no value. A value that
//! is set but can't be read (not UTF-8, a missing file) is a problem and doesn't fall through to the next way in: somebody meant
//! it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::files::{ReadFile, reason};
use crate::given::{Given, present};
use crate::key::Key;
use crate::keys::keys;
use crate::origin::Origin;
use crate::problem::{Findings, Problem};
use crate::sources::Sources;
use crate::text::{decoded_text, not_text};
use crate::variable::may_be_ours;

/// The winning value of each key that is set.
#[derive(Default)]
pub(crate) struct Collected(BTreeMap<&'static str, Found>);

/// A value that won.
pub(crate) struct Found {
    /// Its text, trimmed unless it is a secret; `None` if it is set but can't be read, which was reported.
    pub(crate) text: Option<String>,
    pub(crate) origin: Origin,
}

// === impl Collected ===

impl Collected {
    pub(crate) fn get(&self, key: &Key) -> Option<&Found> {
        self.0.get(key.name)
    }

    /// Whether anybody said anything, readable or not.
    pub(crate) fn is_set(&self, key: &Key) -> bool {
        self.0.contains_key(key.name)
    }

    /// Under which name the Secret has `key`.
    pub(crate) fn name_in_secret(&self, key: &'static Key) -> &str {
        let Some(naming) = key.renamed_by else { return key.name };
        self.get(naming).and_then(|found| found.text.as_deref()).unwrap_or(naming.default)
    }

    /// Whether the Secret's `name` is a password's, by a setting that says so.
    pub(crate) fn has_renamed(&self, name: &str) -> bool {
        keys().any(|key| key.name != name && self.name_in_secret(key) == name)
    }

    pub(crate) fn origin(&self, key: &Key) -> Origin {
        self.get(key).map_or(Origin::Default, |found| found.origin.clone())
    }
}

/// Takes, for every key, the first way in that has a value.
pub(crate) fn collect(sources: &Sources, files: &dyn ReadFile, findings: &mut Findings) -> Collected {
    let mut collector = Collector { sources, files, findings };
    let mut collected = Collected::default();
    // Those that say where others are come first.
    let (naming, named): (Vec<&'static Key>, Vec<&'static Key>) = keys().partition(|key| key.renamed_by.is_none());
    for key in naming.into_iter().chain(named) {
        let name = collected.name_in_secret(key).to_owned();
        if let Some(found) = collector.winner(key, &name) {
            collected.0.insert(key.name, found);
        }
    }
    collected
}

struct Collector<'a> {
    sources: &'a Sources,
    files: &'a dyn ReadFile,
    findings: &'a mut Findings,
}

impl<'a> Collector<'a> {
    fn winner(&mut self, key: &'static Key, name_in_secret: &str) -> Option<Found> {
        if let Some(given) = self.of_config_maps(key) {
            if key.secret {
                self.warn_of_plain_text(key, name_in_secret, given);
            }
            return Some(self.given(key, given));
        }
        if let Some(given) = present(key, self.sources.secret.get(name_in_secret)) {
            return Some(self.given(key, given));
        }
        if let Some((variable, path)) = self.variable(&key.file_variable()) {
            return Some(self.file(key, variable, PathBuf::from(path)));
        }
        let (variable, value) = self.variable(&key.variable())?;
        Some(self.decoded(key, value.into_encoded_bytes(), Origin::Environment { variable }))
    }

    fn of_config_maps(&mut self, key: &Key) -> Option<&'a Given> {
        let winner = self.sources.of_config_maps(key)?;
        if let Some(other) = present(key, self.sources.config.get(key.name))
            && other.bytes.trim_ascii() != winner.bytes.trim_ascii()
        {
            let message = format!("{} wins over {}, which says something else", winner.origin, other.origin);
            self.findings.warn(key, message);
        }
        Some(winner)
    }

    fn given(&mut self, key: &Key, given: &Given) -> Found {
        let found = self.decoded(key, given.bytes.clone(), given.origin.clone());
        let Some((variable, value)) = self.variable(&key.variable()) else {
            return found;
        };
        if found.text.as_deref() != value.to_str() {
            self.findings.warn(key, format!("{} wins over environment variable {variable}", found.origin));
        }
        found
    }

    fn file(&mut self, key: &Key, variable: String, path: PathBuf) -> Found {
        if self.variable(&key.variable()).is_some() {
            let message = format!("{variable} and {} are both set; the file wins", key.variable());
            self.findings.warn(key, message);
        }
        let content = self.files.read(&path);
        let origin = Origin::EnvironmentFile { variable, path };
        match content {
            Err(error) => self.unreadable(key, format!("can't be read: {}", reason(&error)), origin),
            Ok(content) => {
                let found = self.decoded(key, without_newline(content), origin);
                if found.text.as_deref().is_some_and(str::is_empty) {
                    return self.unreadable(key, "the file is empty".to_owned(), found.origin);
                }
                found
            }
        }
    }

    fn decoded(&mut self, key: &Key, bytes: Vec<u8>, origin: Origin) -> Found {
        // A password is used to the byte; what it shouldn't have is for its reader to say.
        let text = match key.secret {
            true => String::from_utf8(bytes).map_err(|error| not_text(error.as_bytes())),
            false => decoded_text(bytes).map(|text| text.trim().to_owned()),
        };
        match text {
            Ok(text) => Found { text: Some(text), origin },
            Err(message) => self.unreadable(key, message.to_owned(), origin),
        }
    }

    fn unreadable(&mut self, key: &Key, message: String, origin: Origin) -> Found {
        self.findings.problem(Problem::new(key, message).from(&origin));
        Found { text: None, origin }
    }

    /// A variable with its name, if it is set, not empty, and not made by Kubernetes.
    fn variable(&self, name: &str) -> Option<(String, OsString)> {
        let value = self.sources.environment.get(name)?;
        let is_set = !value.is_empty() && may_be_ours(name, value);
        is_set.then(|| (name.to_owned(), value.clone()))
    }

    fn warn_of_plain_text(&mut self, key: &Key, name_in_secret: &str, given: &Given) {
        let mut message = format!(
            "is in plain text in {}; put it into the Secret or into a file named by {}",
            given.origin,
            key.file_variable()
        );
        if let Some(secret) = present(key, self.sources.secret.get(name_in_secret)) {
            message.push_str(&format!(". The one in {} is not used", secret.origin));
        }
        self.findings.warn(key, message);
    }
}

/// Without the one line break that editors and `echo` put at the end of a file.
fn without_newline(mut content: Vec<u8>) -> Vec<u8> {
    if content.ends_with(b"\n") {
        content.pop();
        if content.ends_with(b"\r") {
            content.pop();
        }
    }
    content
}

/// The path of a key that names a file.
pub(crate) fn path_of<'a>(collected: &'a Collected, key: &Key) -> Option<&'a Path> {
    collected.get(key)?.text.as_deref().map(Path::new)
}
