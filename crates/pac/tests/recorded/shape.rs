//! In which form a watcher writes things down: what there is of columns, keys and fields, and of which kind each is.

use std::collections::BTreeSet;

use pac_devservers::postgres::Postgres;
use serde_json::Value;

use super::store::pairs;
use crate::support::Store;

/// What PostgreSQL has in our schema besides rows: columns, indexes and constraints, functions, and the schema's version.
/// The function that today's watchers add beside the others is no part of what the version before knows.
const SCHEMA: &str = "
    SELECT format('column %s.%s %s %s %s %s', table_name, column_name, data_type, is_nullable, column_default, collation_name)
        AS part FROM information_schema.columns WHERE table_schema = 'pac_concurrency'
    UNION SELECT indexdef FROM pg_indexes WHERE schemaname = 'pac_concurrency'
    UNION SELECT format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'pac_concurrency'::regnamespace
    UNION SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE pronamespace = 'pac_concurrency'::regnamespace AND proname <> 'commit_at'
    UNION SELECT format('version %s', version) FROM pac_concurrency.migrations
    ORDER BY part";
const TABLES: &str = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'pac_concurrency'";
/// Parts of a key of etcd's that are no names: `/pac/concurrency/v2/` and which kind of thing it is about.
const FIXED_PARTS: usize = 5;

/// What there is but for the records themselves; nothing where no server insists on it.
pub(crate) fn schema(store: &Store) -> String {
    match store {
        Store::Postgres(server) => ask(server, SCHEMA),
        Store::Etcd(_) => String::new(),
    }
}

/// Each form that one of the records has.
pub(crate) fn shapes(store: &Store) -> BTreeSet<String> {
    let mut shapes = BTreeSet::new();
    match store {
        Store::Postgres(server) => {
            for table in ask(server, TABLES).lines() {
                let rows = ask(server, &format!("SELECT row_to_json(t) FROM pac_concurrency.{table} t"));
                rows.lines().for_each(|row| note(table, &parsed(row), &mut shapes));
            }
        }
        Store::Etcd(server) => {
            for (key, value) in pairs(server) {
                note(&shape_of_key(&key), &parsed(&value), &mut shapes);
            }
        }
    }
    shapes
}

fn ask(server: &Postgres, question: &str) -> String {
    server.administer_in("pac_concurrency", question).unwrap()
}

/// A value that is JSON, or a text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn shape_of_key(key: &str) -> String {
    let parts = key.split('/').enumerate().map(|(number, part)| {
        let names = part.split(',').map(|name| shape_of_text(name).to_owned() + &length_of_number(name));
        if number < FIXED_PARTS { part.to_owned() } else { names.collect::<Vec<_>>().join(",") }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Numbers in keys sort by their digits: how many there are counts.
fn length_of_number(name: &str) -> String {
    if name.bytes().all(|byte| byte.is_ascii_digit()) { format!("[{}]", name.len()) } else { String::new() }
}

/// Adds the form of what is at `place`, and those of the parts of lists in it.
fn note(place: &str, value: &Value, shapes: &mut BTreeSet<String>) {
    let shape = shape(place, value, shapes);
    shapes.insert(format!("{place} {shape}"));
}

fn shape(place: &str, value: &Value, shapes: &mut BTreeSet<String>) -> String {
    match value {
        Value::Object(fields) => {
            // The version before reads a history without the times of a week's runs, and leaves them out of what it writes.
            let fields = fields.iter().filter(|(name, _)| name.as_str() != "week");
            let fields = fields.map(|(name, value)| match name.as_str() {
                // Which of several forms a record of what happened has.
                "what" => format!("what={value}"),
                _ => format!("{name}: {}", shape(&format!("{place}.{name}"), value, shapes)),
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(parts) => {
            parts.iter().for_each(|part| note(&format!("{place}[]"), part, shapes));
            "list".to_owned()
        }
        Value::String(text) => match parsed(text) {
            record @ Value::Object(_) => format!("text of {}", shape(place, &record, shapes)),
            _ => shape_of_text(text).to_owned(),
        },
        Value::Number(number) if number.is_f64() => "fraction".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::Bool(_) => "bool".to_owned(),
        Value::Null => "null".to_owned(),
    }
}

fn shape_of_text(text: &str) -> &'static str {
    let is_hex = |text: &str| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uid = text.len() == 36 && is_hex(&text.replace('-', ""));
    let is_time = text.len() > 18 && text.as_bytes()[10] == b'T' && text.starts_with("20");
    match text.split_once(':') {
        _ if is_uid => "uid",
        _ if is_hex(text) => "hex",
        _ if is_time => "time",
        Some((_, term)) if is_hex(term) => "holder",
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => "digits",
        _ if text.contains('/') => "path",
        _ => "text",
    }
}
