//! YAML as a tree in which every scalar keeps the text that was written.
//!
//! A password such as `1e5` or `0x1F` is a number to YAML, and reading it as one loses it. So each document is read
//! twice: the first time for its shape, the second time along that shape, asking for text wherever a scalar is.
//! Keys that appear twice are kept, so that the one who asks can name them.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess, SeqAccess};
use serde::de::{VariantAccess, Visitor};

/// One node of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    /// Nothing, `~` or `null`.
    Null,
    /// A string.
    Text(String),
    /// A number or a boolean, as it was written.
    Bare(String),
    /// A list; its content is of no use here.
    List,
    /// Something with a `!tag`.
    Tagged,
    /// A mapping in the order of the file, duplicates included.
    Mapping(Vec<(String, Node)>),
}

/// Every document of a YAML text.
///
/// # Errors
///
/// The first syntax error, with its line. Its text quotes no value.
pub(crate) fn documents(text: &str) -> Result<Vec<Node>, serde_yaml::Error> {
    let shapes = serde_yaml::Deserializer::from_str(text);
    let texts = serde_yaml::Deserializer::from_str(text);
    let mut documents = Vec::new();
    for (shape, text) in shapes.zip(texts) {
        documents.push(Along(&Node::deserialize(shape)?).deserialize(text)?);
    }
    Ok(documents)
}

/// First reading: what is what. Scalars are empty.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    /// A document with nothing in it.
    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Text(String::new()))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Bare(String::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Node::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (_, content) = tagged.variant::<IgnoredAny>()?;
        content.newtype_variant::<IgnoredAny>()?;
        Ok(Node::Tagged)
    }
}

/// Second reading: the same document along a known shape.
struct Along<'a>(&'a Node);

impl<'de> DeserializeSeed<'de> for Along<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        match self.0 {
            Node::Text(_) => String::deserialize(deserializer).map(Node::Text),
            Node::Bare(_) => String::deserialize(deserializer).map(Node::Bare),
            Node::Mapping(entries) => deserializer.deserialize_map(AlongEntries(entries)),
            Node::Null | Node::List | Node::Tagged => IgnoredAny::deserialize(deserializer).map(|_| self.0.clone()),
        }
    }
}

struct AlongEntries<'a>(&'a [(String, Node)]);

impl<'de> Visitor<'de> for AlongEntries<'_> {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::with_capacity(self.0.len());
        for (_, shape) in self.0 {
            let Some(key) = map.next_key()? else { break };
            entries.push((key, map.next_value_seed(Along(shape))?));
        }
        Ok(Node::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Vec<(String, Node)> {
        match documents(text).unwrap().pop() {
            Some(Node::Mapping(entries)) => entries,
            other => panic!("not a mapping: {other:?}"),
        }
    }

    #[test]
    fn numbers_keep_the_text_that_was_written() {
        for written in ["5432", "0x1F", "1e5", "1.50", "true", "+7", ".inf", "123456789012345678901234567890"] {
            assert_eq!(mapping(&format!("a: {written}")), [("a".to_owned(), Node::Bare(written.to_owned()))]);
        }
        assert_eq!(mapping("a: 007"), [("a".to_owned(), Node::Text("007".to_owned()))]);
    }

    #[test]
    fn keys_that_appear_twice_are_kept() {
        assert_eq!(mapping("a: b\na: c").len(), 2);
    }

    #[test]
    fn shapes_are_told_apart() {
        let entries = mapping("a:\nb: ~\nc: [1, {x: y}]\nd: !t x\ne: {f: g}\nh: |\n  text\n");
        let nodes: Vec<_> = entries.into_iter().map(|(_, node)| node).collect();
        let inner = Node::Mapping(vec![("f".to_owned(), Node::Text("g".to_owned()))]);
        assert_eq!(nodes, [Node::Null, Node::Null, Node::List, Node::Tagged, inner, Node::Text("text\n".to_owned())]);
    }

    #[test]
    fn documents_are_read_one_by_one() {
        assert_eq!(documents("a: b\n---\nc: d\n---\n").unwrap().len(), 3);
        assert_eq!(documents("# nothing\n").unwrap(), [Node::Null]);
    }

    #[test]
    fn a_syntax_error_has_a_line_and_no_value() {
        let message = documents("a: b\npostgresql-password: *hunter2\n").unwrap_err().to_string();
        assert!(message.contains("line 2"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 {x: x}\n".to_owned();
        for level in 1..40 {
            let before = level - 1;
            text.push_str(&format!("a{level}: &a{level} {{x: *a{before}, y: *a{before}}}\n"));
        }
        assert!(documents(&text).is_err());
    }
}
