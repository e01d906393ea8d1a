//! The `--config` file: a flat mapping of keys, or the manifests of a ConfigMap and a Secret.
//!
//! The manifests are the very files that `kubectl apply` takes, so that a configuration can be checked before it is
//! applied, and the watcher can run without a cluster that holds it.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::files::{ReadFile, reason};
use crate::given::Given;
use crate::origin::Origin;
use crate::problem::{Findings, Problem};
use crate::shown::quoted;
use crate::text::decoded_text;
use crate::yaml::{Node, documents};

/// What a local file holds.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) config: BTreeMap<String, Given>,
    /// `None` if the file has no Secret, so that one from elsewhere still counts.
    pub(crate) secret: Option<BTreeMap<String, Given>>,
    pub(crate) findings: Findings,
}

/// Reads a local file. Problems are in the content's findings.
pub(crate) fn read(path: &Path, files: &dyn ReadFile) -> Content {
    let mut reader = Reader { path, text: String::new(), has_config: false, content: Content::default() };
    match files.read(path).map(decoded_text) {
        Err(error) => reader.problem(None, format!("can't be read: {}", reason(&error))),
        Ok(Err(message)) => reader.problem(None, message),
        Ok(Ok(text)) => {
            reader.text = text;
            reader.documents();
        }
    }
    reader.content
}

struct Reader<'a> {
    path: &'a Path,
    text: String,
    has_config: bool,
    content: Content,
}

/// How the values of one mapping are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A file of our own: numbers and booleans are fine without quotes.
    Flat,
    /// `data` of a ConfigMap or `stringData` of a Secret: Kubernetes takes strings alone.
    Text,
    /// `data` of a Secret, `binaryData` of a ConfigMap.
    Base64,
}

// === impl Reader ===

impl Reader<'_> {
    fn documents(&mut self) {
        let documents = match documents(&self.text) {
            Ok(documents) => documents,
            Err(error) => return self.problem(None, format!("is not YAML: {error}")),
        };
        for document in documents {
            match document {
                Node::Null => {}
                Node::Mapping(entries) => self.document(entries),
                _ => self.problem(None, "is not a mapping of keys to values"),
            }
        }
        if !self.has_config && self.content.findings.problems.is_empty() {
            let path = self.path.display().to_string();
            self.content.findings.warn(path, "holds no settings: all have their defaults");
        }
    }

    fn document(&mut self, entries: Vec<(String, Node)>) {
        let is_manifest = entries.iter().any(|(key, _)| key == "kind" || key == "apiVersion");
        if !is_manifest {
            return self.config(entries, Form::Flat);
        }
        let kind = match text_of(&entries, "kind") {
            Some(kind) => kind.to_owned(),
            None => return self.problem(None, "has an apiVersion but no kind, so it is no manifest"),
        };
        match kind.as_str() {
            "ConfigMap" => {
                let encoded = self.section(entries.clone(), "binaryData");
                let data = self.section(entries, "data");
                self.config(data, Form::Text);
                let decoded = self.values(encoded, Form::Base64);
                self.content.config.extend(decoded);
            }
            "Secret" => self.secret(entries),
            _ => {
                let line = self.line("kind", Some(&kind));
                let message = format!("has the unknown kind {}", quoted(&kind));
                self.problem(line, message);
                self.allow("ConfigMap, Secret, or a flat mapping of keys");
            }
        }
    }

    fn config(&mut self, entries: Vec<(String, Node)>, form: Form) {
        if std::mem::replace(&mut self.has_config, true) {
            return self.problem(None, "holds more than one ConfigMap or mapping of keys");
        }
        self.content.config = self.values(entries, form);
    }

    fn secret(&mut self, entries: Vec<(String, Node)>) {
        if self.content.secret.is_some() {
            return self.problem(None, "holds more than one Secret");
        }
        let encoded = self.section(entries.clone(), "data");
        let plain = self.section(entries, "stringData");
        let mut values = self.values(encoded, Form::Base64);
        // As in Kubernetes, where stringData is written over data.
        values.extend(self.values(plain, Form::Text));
        self.content.secret = Some(values);
    }

    /// A named part of a manifest; a missing one is empty.
    fn section(&mut self, entries: Vec<(String, Node)>, name: &str) -> Vec<(String, Node)> {
        let mut found = entries.into_iter().filter(|(key, _)| key == name).map(|(_, node)| node);
        let first = found.next();
        if found.next().is_some() {
            self.problem(None, format!("has {name} twice in one manifest"));
        }
        match first {
            Some(Node::Mapping(entries)) => entries,
            None | Some(Node::Null) => Vec::new(),
            Some(_) => {
                let line = self.line(name, None);
                self.problem(line, format!("{name} is not a mapping of keys to values"));
                Vec::new()
            }
        }
    }

    fn values(&mut self, entries: Vec<(String, Node)>, form: Form) -> BTreeMap<String, Given> {
        let mut values = BTreeMap::new();
        for (key, node) in entries {
            if values.contains_key(&key) {
                self.key_problem(&key, "appears twice");
                continue;
            }
            let given = self.value(&key, node, form);
            values.insert(key, given);
        }
        values
    }

    /// The bytes of one value. After a problem it is empty, which is the same as not set.
    fn value(&mut self, key: &str, node: Node, form: Form) -> Given {
        let text = match node {
            Node::Null => String::new(),
            Node::Text(text) => text,
            Node::Bare(text) => {
                if form != Form::Flat {
                    let path = self.path.display();
                    let message = format!("is not in quotes in {path}: Kubernetes refuses such a manifest");
                    self.content.findings.warn(key, message);
                }
                text
            }
            Node::List => self.refused(key, "is a list, not a single value"),
            Node::Mapping(_) => self.refused(key, "is a mapping, not a single value"),
            Node::Tagged => self.refused(key, "has a YAML tag; write the value in quotes"),
        };
        let bytes = if form == Form::Base64 { self.decode(key, &text) } else { text.into_bytes() };
        Given { bytes, origin: self.origin(self.line(key, None)) }
    }

    fn decode(&mut self, key: &str, text: &str) -> Vec<u8> {
        // Long values are folded over several lines.
        let packed: String = text.split_ascii_whitespace().collect();
        STANDARD.decode(packed).unwrap_or_else(|_| {
            self.key_problem(key, "is not base64; put plain text under stringData, or data of a ConfigMap");
            Vec::new()
        })
    }

    fn refused(&mut self, key: &str, message: &str) -> String {
        self.key_problem(key, message);
        String::new()
    }

    fn origin(&self, line: Option<usize>) -> Origin {
        Origin::File { path: self.path.to_owned(), line }
    }

    /// A problem of the file as a whole.
    fn problem(&mut self, line: Option<usize>, message: impl Into<String>) {
        let mut file = self.path.display().to_string();
        if let Some(line) = line {
            file.push_str(&format!(" line {line}"));
        }
        self.content.findings.problem(Problem::new(file, message));
    }

    fn key_problem(&mut self, key: &str, message: &str) {
        let line = self.line(key, None);
        let problem = Problem::new(key, message).from(&self.origin(line));
        self.content.findings.problem(problem);
    }

    fn allow(&mut self, allowed: &str) {
        if let Some(problem) = self.content.findings.problems.last_mut() {
            problem.allowed = allowed.to_owned();
        }
    }

    /// The line of a key, counted from 1: the last one that starts with it, and goes on with `value` if given.
    ///
    /// The YAML reader gives no positions for values. For a key that appears twice the later line is the one to look
    /// at.
    fn line(&self, key: &str, value: Option<&str>) -> Option<usize> {
        let is_it = |line: &str| {
            let rest = line.trim_start().trim_start_matches(['"', '\'']).strip_prefix(key)?;
            let rest = rest.trim_start_matches(['"', '\'']).trim_start().strip_prefix(':')?;
            value.is_none_or(|value| rest.contains(value)).then_some(())
        };
        let lines = (1..).zip(self.text.lines());
        lines.filter(|(_, line)| is_it(line).is_some()).map(|(number, _)| number).last()
    }
}

fn text_of<'a>(entries: &'a [(String, Node)], name: &str) -> Option<&'a str> {
    entries.iter().find_map(|(key, node)| match node {
        Node::Text(text) if key == name => Some(text.as_str()),
        _ => None,
    })
}
