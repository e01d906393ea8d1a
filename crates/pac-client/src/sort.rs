//! `--sort-by`.

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::Value;

use crate::Failure;
use crate::jsonpath::Path;

/// Sorts `items` by what is at `path` of an item's JSON: numbers as numbers, text as kubectl does it, nothing first. Items
/// that are alike keep their order. Whether any item has something there.
///
/// # Errors
///
/// If an item is no JSON.
pub(crate) fn sort_by<T: Serialize>(items: &mut Vec<T>, path: &Path) -> Result<bool, Failure> {
    let mut keyed = Vec::new();
    for item in items.drain(..) {
        let json = serde_json::to_value(&item).map_err(|error| Failure::Local(format!("could not sort: {error}")))?;
        let key = path.values(&json).into_iter().next().filter(|value| !value.is_null()).cloned();
        keyed.push((key, item));
    }
    let found = keyed.iter().any(|(key, _)| key.is_some());
    keyed.sort_by(|(one, _), (other, _)| match (one, other) {
        (Some(one), Some(other)) => compare(one, other),
        _ => one.is_some().cmp(&other.is_some()),
    });
    items.extend(keyed.into_iter().map(|(_, item)| item));
    Ok(found)
}

/// What is said if nothing was sorted.
pub(crate) fn nothing_at(path: &Path) -> Failure {
    Failure::Usage(format!("--sort-by {}: -o json has no such field", path.text()))
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().unwrap_or(f64::NAN).total_cmp(&other.as_f64().unwrap_or(f64::NAN))
        }
        (Value::String(one), Value::String(other)) => natural(one, other),
        _ => one.to_string().cmp(&other.to_string()),
    }
}

/// `run-9` comes before `run-10`.
fn natural(one: &str, other: &str) -> Ordering {
    let (one, other) = (pieces(one), pieces(other));
    one.iter()
        .zip(&other)
        .map(|(one, other)| compare_pieces(one, other))
        .find(|order| order.is_ne())
        .unwrap_or_else(|| one.len().cmp(&other.len()))
}

fn compare_pieces(one: &str, other: &str) -> Ordering {
    match (is_number(one), is_number(other)) {
        (true, true) => {
            let (short, long) = (one.trim_start_matches('0'), other.trim_start_matches('0'));
            short.len().cmp(&long.len()).then_with(|| short.cmp(long)).then_with(|| one.len().cmp(&other.len()))
        }
        _ => one.cmp(other),
    }
}

fn is_number(piece: &str) -> bool {
    piece.starts_with(|first: char| first.is_ascii_digit())
}

/// Runs of digits, and of what else there is.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|character: char| character.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        pieces.push(piece);
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sorted(items: &[Value], path: &str) -> Option<Vec<Value>> {
        let path = Path::read_loosely(path).unwrap();
        let mut items = items.to_vec();
        sort_by(&mut items, &path).unwrap().then(|| items.iter().map(|item| item["id"].clone()).collect())
    }

    #[test]
    fn numbers_are_numbers_and_names_go_by_the_numbers_in_them() {
        let items = [
            json!({"id": 1, "name": "run-10", "n": 9}),
            json!({"id": 2, "name": "run-9", "n": 10}),
            json!({"id": 3, "name": "run-009", "n": 1.5}),
            json!({"id": 4, "name": "run"}),
        ];
        assert_eq!(sorted(&items, ".n"), Some(vec![json!(4), json!(3), json!(1), json!(2)]));
        assert_eq!(sorted(&items, "name"), Some(vec![json!(4), json!(2), json!(3), json!(1)]));
        assert_eq!(sorted(&items, "none"), None);
    }
}
