//! What is kept under the keys: JSON, so that a person can read it.

use pac_concurrency::{Holder, OrderKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The value of a version key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    /// Which driver wrote it, and which of its records this is: a driver knows its own by it, and no two are the same. Earlier versions
    /// leave out the second.
    pub(crate) by: String,
    /// A staged change that is decided, and being carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) applying: Option<Applying>,
    /// The staged change this version is the outcome of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) applied: Option<String>,
}

/// A staged change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applying {
    /// Names it within its repository.
    pub(crate) id: String,
    /// How many parts it has.
    pub(crate) chunks: usize,
}

/// The value of a waiting run's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrderRecord {
    event_created: i64,
    position: u32,
    created: i64,
}

/// The value of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotRecord {
    holder: String,
    #[serde(flatten)]
    order: OrderRecord,
}

// === impl OrderRecord ===

impl From<OrderKey> for OrderRecord {
    fn from(order: OrderKey) -> Self {
        let OrderKey { event_created, position, created } = order;
        Self { event_created, position, created }
    }
}

impl From<OrderRecord> for OrderKey {
    fn from(record: OrderRecord) -> Self {
        let OrderRecord { event_created, position, created } = record;
        Self { event_created, position, created }
    }
}

// === impl SlotRecord ===

impl SlotRecord {
    pub(crate) fn new(order: OrderKey, holder: &Holder) -> Self {
        Self { holder: holder.as_str().to_owned(), order: order.into() }
    }

    /// The place and the holder, if it is one.
    pub(crate) fn read(&self) -> Result<(OrderKey, Holder), String> {
        let holder = Holder::parse(&self.holder).map_err(|error| error.to_string())?;
        Ok((self.order.into(), holder))
    }
}

/// The slot a value describes.
pub(crate) fn parse_slot(value: &[u8]) -> Result<(OrderKey, Holder), String> {
    parse::<SlotRecord>(value)?.read()
}

/// The place a value describes.
pub(crate) fn parse_order(value: &[u8]) -> Result<OrderKey, String> {
    parse::<OrderRecord>(value).map(Into::into)
}

/// A record, or why it is none.
pub(crate) fn parse<R: DeserializeOwned>(value: &[u8]) -> Result<R, String> {
    serde_json::from_slice(value).map_err(|error| format!("the value is not what it should be: {error}"))
}

/// The text of a record.
pub(crate) fn write(record: &impl Serialize) -> String {
    // Numbers and texts only: there is nothing in a record that JSON could not express.
    serde_json::to_string(record).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_written_for_people() {
        let holder = Holder::parse("pod-1:0123").unwrap();
        let text = write(&SlotRecord::new(OrderKey { event_created: -1, position: 2, created: 3 }, &holder));
        assert_eq!(text, r#"{"holder":"pod-1:0123","event_created":-1,"position":2,"created":3}"#);
        let order = OrderKey { event_created: -1, position: 2, created: 3 };
        assert_eq!(parse_slot(text.as_bytes()), Ok((order, holder)));
    }

    #[test]
    fn what_is_no_slot_is_refused() {
        for text in [
            "",
            "null",
            "{}",
            r#"{"holder":"pod-1:0123"}"#,
            r#"{"holder":"","event_created":1,"position":2,"created":3}"#,
            r#"{"holder":"pod 1","event_created":1,"position":2,"created":3}"#,
            r#"{"holder":"pod-1","event_created":1,"position":-2,"created":3}"#,
            r#"{"holder":"pod-1","event_created":1e30,"position":2,"created":3}"#,
        ] {
            assert!(parse_slot(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_plain_version_says_who_wrote_it_and_no_more() {
        let record = VersionRecord { by: "a".into(), ..VersionRecord::default() };
        assert_eq!(write(&record), r#"{"by":"a"}"#);
        assert_eq!(parse::<VersionRecord>(br#"{"by":"a"}"#), Ok(record));
    }
}
