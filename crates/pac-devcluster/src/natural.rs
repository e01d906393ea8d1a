//! The order that PAC sorts names by: numbers in them are numbers.

use std::cmp::Ordering;

/// Compares two names, `run-9` before `run-10`.
pub(crate) fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (parts(one), parts(other));
    loop {
        let ordering = match (one.next(), other.next()) {
            (None, None) => return Ordering::Equal,
            (Some(Part::Number(one)), Some(Part::Number(other))) => {
                let digits = |number: &str| number.trim_start_matches('0').len();
                digits(one)
                    .cmp(&digits(other))
                    .then_with(|| one.trim_start_matches('0').cmp(other.trim_start_matches('0')))
            }
            (one, other) => one.map(Part::text).cmp(&other.map(Part::text)),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

enum Part<'a> {
    Number(&'a str),
    Letter(&'a str),
}

// === impl Part ===

impl<'a> Part<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Number(text) | Self::Letter(text) => text,
        }
    }
}

/// Numbers, and single letters between them.
fn parts(mut text: &str) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let letter = text.chars().next()?;
        let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
        let (part, rest) = text.split_at(if digits > 0 { digits } else { letter.len_utf8() });
        text = rest;
        Some(if digits > 0 { Part::Number(part) } else { Part::Letter(part) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_numbers() {
        let names = ["a", "a-b", "job-1", "job-2-x", "job-9-b", "job-10-a", "job-10-b", "job-a", "jobs"];
        assert!(names.is_sorted_by(|one, other| compare(one, other).is_lt()));
        assert_eq!(compare("a01", "a1"), Ordering::Equal);
    }
}
