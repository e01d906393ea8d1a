//! `LabelSelector` as objects have it: `matchLabels` and `matchExpressions`.

use serde_json::Value;

use crate::object;

/// All of its requirements have to hold; without any it selects everything.
#[derive(Debug)]
pub(crate) struct LabelSelector<'a>(Vec<Requirement<'a>>);

#[derive(Debug)]
enum Requirement<'a> {
    Exists(&'a str),
    DoesNotExist(&'a str),
    In(&'a str, Vec<&'a str>),
    NotIn(&'a str, Vec<&'a str>),
}

// === impl LabelSelector ===

impl<'a> LabelSelector<'a> {
    /// An absent selector is an empty one, as the API server's defaults make it.
    pub(crate) fn parse(selector: &'a Value) -> Result<Self, String> {
        let labels = selector["matchLabels"].as_object().into_iter().flatten();
        let equal = labels.map(|(key, value)| Ok(Requirement::In(key, vec![value.as_str().unwrap_or_default()])));
        let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
        equal.chain(expressions.map(Requirement::parse)).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels of an object are as they have to be.
    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.matches(object))
    }
}

// === impl Requirement ===

impl<'a> Requirement<'a> {
    fn parse(expression: &'a Value) -> Result<Self, String> {
        let key = expression["key"].as_str().unwrap_or_default();
        let values = || expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        match expression["operator"].as_str().unwrap_or_default() {
            "Exists" => Ok(Self::Exists(key)),
            "DoesNotExist" => Ok(Self::DoesNotExist(key)),
            "In" => Ok(Self::In(key, values())),
            "NotIn" => Ok(Self::NotIn(key, values())),
            other => Err(format!("\"{other}\" is not a valid label selector operator")),
        }
    }

    fn matches(&self, object: &Value) -> bool {
        match self {
            Self::Exists(key) => object::label(object, key).is_some(),
            Self::DoesNotExist(key) => object::label(object, key).is_none(),
            Self::In(key, values) => object::label(object, key).is_some_and(|label| values.contains(&label)),
            Self::NotIn(key, values) => object::label(object, key).is_none_or(|label| !values.contains(&label)),
        }
    }
}
