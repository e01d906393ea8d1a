//! How answers look: `-o`.

use clap::builder::{PossibleValue, TypedValueParser};

use crate::jsonpath::Template;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// The same with more columns, and all rows.
    Wide,
    /// A name a line, as every command takes it.
    Name,
    Json,
    Yaml,
    /// What a template of kubectl's takes from the JSON.
    JsonPath(Template),
}

/// Reads an [`Output`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutputParser;

const JSONPATH: &str = "jsonpath=";

// === impl Output ===

impl Output {
    /// Whether people read it.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }

    fn read(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "name" => Self::Name,
            "json" => Self::Json,
            "yaml" => Self::Yaml,
            text => match text.strip_prefix(JSONPATH) {
                Some(template) if !template.is_empty() => Self::JsonPath(Template::read(template)?),
                _ if text == "jsonpath" || text == JSONPATH => {
                    return Err("jsonpath needs a template, like jsonpath='{.repositories[*].repository}'".to_owned());
                }
                _ => return Err("one of table, wide, name, json, yaml and jsonpath=TEMPLATE is expected".to_owned()),
            },
        })
    }
}

// === impl OutputParser ===

impl TypedValueParser for OutputParser {
    type Value = Output;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<Output, clap::Error> {
        let parser = clap::builder::StringValueParser::new().try_map(|text| Output::read(&text));
        parser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(["table", "wide", "name", "json", "yaml", JSONPATH].into_iter().map(PossibleValue::new)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        assert_eq!(Output::read("wide"), Ok(Output::Wide));
        assert!(matches!(Output::read("jsonpath={.a}"), Ok(Output::JsonPath(_))));
        for (text, part) in [
            ("jsonpath", "needs a template"),
            ("jsonpath=", "needs a template"),
            ("jsonpath={", "not closed"),
            ("custom-columns=NAME:.name", "is expected"),
            ("go-template={{.x}}", "is expected"),
            ("", "is expected"),
        ] {
            let error = Output::read(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
