//! The description of the admin port, and whether answers are as it says: no field more, none less.

#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "each test uses a part of it")]

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

const DESCRIPTION: &str = include_str!("../../../pac-view/src/http/openapi.yaml");

/// The description, and what of it was seen in answers.
pub(crate) struct Description {
    document: Value,
    /// Places in the document, each of one field of an object, or of a path with its status.
    seen: BTreeSet<String>,
}

impl Description {
    pub(crate) fn read() -> Self {
        Self { document: serde_yaml::from_str(DESCRIPTION).unwrap(), seen: BTreeSet::new() }
    }

    /// The paths that can be asked.
    pub(crate) fn paths(&self) -> BTreeSet<String> {
        self.document["paths"].as_object().unwrap().keys().cloned().collect()
    }

    /// Checks the answer to a GET of `path` (with its query, if it has one).
    pub(crate) fn check(&mut self, path: &str, (status, body): (u16, String)) {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let place = format!("/paths/{}/get/responses/{status}", path.replace('/', "~1"));
        let response = self.document.pointer(&place).unwrap_or_else(|| panic!("{place} is not described: {body}"));
        let place = response["$ref"].as_str().map_or(place, |place| place.trim_start_matches('#').to_owned());
        self.seen.insert(place.clone());
        let kinds = self.document.pointer(&place).unwrap()["content"].as_object().unwrap().clone();
        if !kinds.contains_key("application/json") {
            return;
        }
        let answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        let schema = format!("{place}/content/application~1json/schema");
        let problems: Vec<String> = self
            .validator(&schema)
            .iter_errors(&answer)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{path}: {problems:#?}\n{answer:#}");
        self.note(&schema, &answer);
    }

    /// Fields and answers that are described and were never seen.
    pub(crate) fn unseen(&self) -> BTreeSet<String> {
        let mut described = BTreeSet::new();
        for (path, item) in self.document["paths"].as_object().unwrap() {
            for (status, response) in item["get"]["responses"].as_object().unwrap() {
                let place = format!("/paths/{}/get/responses/{status}", path.replace('/', "~1"));
                let place = response["$ref"].as_str().map_or(place, |place| place.trim_start_matches('#').to_owned());
                described.insert(place);
            }
        }
        for name in self.document["components"]["schemas"].as_object().unwrap().keys() {
            self.fields(&format!("/components/schemas/{name}"), &mut described);
        }
        described.difference(&self.seen).cloned().collect()
    }

    /// Validates what is at `place` of the document, references and all.
    fn validator(&self, place: &str) -> Validator {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": format!("#{place}"),
            "paths": self.document["paths"],
            "components": self.document["components"],
        });
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    }

    fn fields(&self, place: &str, all: &mut BTreeSet<String>) {
        let schema = self.document.pointer(place).unwrap();
        for name in schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys()) {
            all.insert(format!("{place}/properties/{name}"));
        }
        for number in 0..schema["oneOf"].as_array().map_or(0, Vec::len) {
            self.fields(&format!("{place}/oneOf/{number}"), all);
        }
    }

    /// Notes the fields that `value` has, as the schema at `place` knows them.
    fn note(&mut self, place: &str, value: &Value) {
        let schema = self.document.pointer(place).unwrap().clone();
        if let Some(other) = schema["$ref"].as_str() {
            return self.note(other.trim_start_matches('#'), value);
        }
        for number in 0..schema["oneOf"].as_array().map_or(0, Vec::len) {
            let one = format!("{place}/oneOf/{number}");
            if self.validator(&one).is_valid(value) {
                self.note(&one, value);
            }
        }
        for item in value.as_array().filter(|_| schema.get("items").is_some()).into_iter().flatten() {
            self.note(&format!("{place}/items"), item);
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let field = format!("{place}/properties/{name}");
            if schema["properties"].get(name).is_some() {
                self.seen.insert(field.clone());
                self.note(&field, value);
            }
        }
    }
}
