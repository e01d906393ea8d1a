//! Reading a few fields of an object, and passing over the rest of it without keeping any.
//!
//! A PipelineRun may carry a whole pipeline, its results and who manages which field; what is read of it is a hundredth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Which fields of a value to read. Of a list, the same of each element.
#[derive(Debug, Clone, Copy)]
pub enum Fields {
    /// All of it.
    All,
    /// These, and of each of them those.
    Only(&'static [(&'static str, Fields)]),
}

// === impl Fields ===

impl Fields {
    fn of(self, name: &str) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Only(wanted) => wanted.iter().find(|(one, _)| *one == name).map(|(_, fields)| *fields),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Fields {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            match self.of(&name) {
                Some(fields) => drop(read.insert(name, map.next_value_seed(fields)?)),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(read))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        while let Some(element) = list.next_element_seed(self)? {
            read.push(element);
        }
        Ok(Value::Array(read))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_asked_for_is_passed_over_wherever_it_stands() {
        const FIELDS: Fields = Fields::Only(&[("list", Fields::Only(&[("a", Fields::All)])), ("whole", Fields::All)]);
        let text = r#"{"x": {"list": 1}, "list": [{"b": [1, {"c": "}"}], "a": -1}, {"a": 2.5}, "s"], "whole": {"y": [null, true]}}"#;
        let read = FIELDS.deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
        assert_eq!(read, json!({"list": [{"a": -1}, {"a": 2.5}, "s"], "whole": {"y": [null, true]}}));
    }

    #[test]
    fn what_is_not_what_it_should_be_is_read_as_it_is() {
        const FIELDS: Fields = Fields::Only(&[("spec", Fields::Only(&[("status", Fields::All)]))]);
        for text in [r#"{"spec":7}"#, r#"{"spec":"x"}"#, r#"{"spec":null}"#, r#"{"spec":{"status":{"z":[]}}}"#, "[1]"] {
            let read = FIELDS.deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
            assert_eq!(read.to_string(), text);
        }
    }
}
