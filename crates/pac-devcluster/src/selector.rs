//! Label and field selectors, parsed once a request and matched against many objects.

use serde_json::Value;

use crate::{error::ApiError, object, resource::ResourceType};

/// What a list, a watch or a deletecollection is narrowed to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) namespace: Option<String>,
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Clone, Debug)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

#[derive(Clone, Debug)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

// === impl Filter ===

impl Filter {
    pub(crate) fn parse(
        resource: &ResourceType,
        namespace: Option<&str>,
        labels: &str,
        fields: &str,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            labels: parse_labels(labels)?,
            fields: parse_fields(resource, fields)?,
        })
    }

    /// Whether labels or fields narrow the answer; then a list can't say how many items remain.
    pub(crate) fn selects(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    /// This filter for one object only.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        let field = FieldRequirement { path: "metadata.name".to_owned(), value: name.to_owned(), equal: true };
        self.fields.push(field);
        self
    }

    pub(crate) fn matches(&self, value: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| object::namespace(value) == namespace)
            && self.labels.iter().all(|requirement| requirement.matches(value))
            && self.fields.iter().all(|requirement| requirement.matches(value))
    }
}

// === impl Requirement ===

impl Requirement {
    fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Exists(key) => object::label(value, key).is_some(),
            Self::Absent(key) => object::label(value, key).is_none(),
            Self::In(key, values) => object::label(value, key).is_some_and(|label| values.iter().any(|v| v == label)),
            Self::NotIn(key, values) => object::label(value, key).is_none_or(|label| values.iter().all(|v| v != label)),
        }
    }
}

// === impl FieldRequirement ===

impl FieldRequirement {
    fn matches(&self, value: &Value) -> bool {
        let found = self.path.split('.').try_fold(value, |value, part| value.get(part));
        (found.and_then(Value::as_str).unwrap_or_default() == self.value) == self.equal
    }
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, ApiError> {
    let tokens = tokens(text);
    let mut rest = tokens.as_slice();
    let mut requirements = Vec::new();
    while let Some((first, after)) = rest.split_first() {
        let (requirement, after) = match first.as_str() {
            "!" => absent(after)?,
            word if is_operator(word) => {
                return Err(ApiError::bad_request(format!(
                    "found '{word}', expected: !, identifier, or 'end of string'"
                )));
            }
            key => keyed(key, after)?,
        };
        requirements.push(requirement);
        rest = match after.split_first() {
            None => after,
            Some((comma, after)) if comma == "," && !after.is_empty() => after,
            Some((comma, _)) if comma == "," => {
                return Err(ApiError::bad_request("found '', expected: identifier after ','"));
            }
            Some((other, _)) => {
                return Err(ApiError::bad_request(format!("found '{other}', expected: ',' or 'end of string'")));
            }
        };
    }
    Ok(requirements)
}

fn absent(tokens: &[String]) -> Result<(Requirement, &[String]), ApiError> {
    match tokens.split_first() {
        Some((key, rest)) if !is_operator(key) => Ok((Requirement::Absent(key.clone()), rest)),
        _ => Err(ApiError::bad_request("found '', expected: identifier")),
    }
}

fn keyed<'a>(key: &str, tokens: &'a [String]) -> Result<(Requirement, &'a [String]), ApiError> {
    let key = key.to_owned();
    match tokens.split_first() {
        None => Ok((Requirement::Exists(key), tokens)),
        Some((word, _)) if word == "," => Ok((Requirement::Exists(key), tokens)),
        Some((word, rest)) => match word.as_str() {
            "=" | "==" => value(rest).map(|(value, rest)| (Requirement::In(key, vec![value]), rest)),
            "!=" => value(rest).map(|(value, rest)| (Requirement::NotIn(key, vec![value]), rest)),
            "in" => values(rest).map(|(values, rest)| (Requirement::In(key, values), rest)),
            "notin" => values(rest).map(|(values, rest)| (Requirement::NotIn(key, values), rest)),
            other => {
                let message =
                    format!("unable to parse requirement: found '{other}', expected: in, notin, =, ==, !=, gt, lt");
                Err(ApiError::bad_request(message))
            }
        },
    }
}

/// The value after `=`; nothing at all is the empty value.
fn value(tokens: &[String]) -> Result<(String, &[String]), ApiError> {
    match tokens.split_first() {
        None => Ok((String::new(), tokens)),
        Some((word, _)) if word == "," => Ok((String::new(), tokens)),
        Some((word, _)) if is_operator(word) => {
            Err(ApiError::bad_request(format!("found '{word}', expected: identifier")))
        }
        Some((word, rest)) => Ok((word.clone(), rest)),
    }
}

fn values(tokens: &[String]) -> Result<(Vec<String>, &[String]), ApiError> {
    let Some(("(", rest)) = tokens.split_first().map(|(word, rest)| (word.as_str(), rest)) else {
        return Err(ApiError::bad_request("found '', expected: '('"));
    };
    let Some(end) = rest.iter().position(|word| word == ")") else {
        return Err(ApiError::bad_request("found '', expected: ',', or ')'"));
    };
    let values = rest[..end].iter().filter(|word| *word != ",").cloned().collect();
    Ok((values, &rest[end + 1..]))
}

fn is_operator(word: &str) -> bool {
    matches!(word, "=" | "==" | "!=" | "!" | "(" | ")" | "," | "<" | ">")
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '=' | '!' if letters.peek() == Some(&'=') => {
                letters.next();
                tokens.push(format!("{letter}="));
            }
            '=' | '!' | '(' | ')' | ',' | '<' | '>' => tokens.push(letter.to_string()),
            letter => {
                let mut word = String::from(letter);
                while let Some(next) = letters.next_if(|next| !next.is_whitespace() && !"=!(),<>".contains(*next)) {
                    word.push(next);
                }
                tokens.push(word);
            }
        }
    }
    tokens
}

fn parse_fields(resource: &ResourceType, text: &str) -> Result<Vec<FieldRequirement>, ApiError> {
    text.split(',').filter(|part| !part.is_empty()).map(|part| parse_field(resource, part)).collect()
}

fn parse_field(resource: &ResourceType, part: &str) -> Result<FieldRequirement, ApiError> {
    let split = part.split_once("!=").map(|(path, value)| (path, value, false));
    let split = split.or_else(|| part.split_once("==").map(|(path, value)| (path, value, true)));
    let split = split.or_else(|| part.split_once('=').map(|(path, value)| (path, value, true)));
    let Some((path, value, equal)) = split else {
        return Err(ApiError::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'")));
    };
    let path = supported_field(resource, path)?;
    Ok(FieldRequirement { path, value: value.to_owned(), equal })
}

/// The path in the stored form of a field that may be selected by.
fn supported_field(resource: &ResourceType, path: &str) -> Result<String, ApiError> {
    let own = match resource.plural {
        "events" => {
            let involved = path.strip_prefix("regarding.").map(|rest| format!("involvedObject.{rest}"));
            let path = involved.unwrap_or_else(|| path.to_owned());
            let known = path.starts_with("involvedObject.")
                || matches!(path.as_str(), "reason" | "type" | "reportingComponent" | "source");
            known.then_some(path)
        }
        "secrets" if path == "type" => Some(path.to_owned()),
        "namespaces" if path == "status.phase" => Some(path.to_owned()),
        "pods" if matches!(path, "status.phase" | "spec.nodeName" | "spec.serviceAccountName") => Some(path.to_owned()),
        _ => None,
    };
    let common = matches!(path, "metadata.name" | "metadata.namespace").then(|| path.to_owned());
    own.or(common).ok_or_else(|| ApiError::bad_request(format!("field label not supported: {path}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource;

    fn matches(labels: &str) -> bool {
        let runs = resource::by_plural("pipelineruns").unwrap();
        let object = json!({ "metadata": { "labels": { "state": "queued", "empty": "" } } });
        Filter::parse(runs, None, labels, "").unwrap().matches(&object)
    }

    #[test]
    fn every_operator_of_labels() {
        for selector in ["state=queued", "state==queued", "state", "!other", "state in (a, queued)", "empty="] {
            assert!(matches(selector), "{selector}");
        }
        for selector in ["state!=done,state notin (x,y)", "other!=x", "other notin (x)", "state in (queued),!gone"] {
            assert!(matches(selector), "{selector}");
        }
        for selector in
            ["state=done", "!state", "other", "state notin (queued)", "state!=queued", "state=queued,other=x"]
        {
            assert!(!matches(selector), "{selector}");
        }
    }

    #[test]
    fn custom_resources_know_two_fields() {
        let runs = resource::by_plural("pipelineruns").unwrap();
        assert!(Filter::parse(runs, None, "", "metadata.name=a,metadata.namespace!=b").is_ok());
        let error = Filter::parse(runs, None, "", "spec.status=x").unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (400, "field label not supported: spec.status"));
    }
}
