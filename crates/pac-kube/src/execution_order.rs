//! The annotation that orders the runs of one webhook event. Anyone who may edit a run may write it, so it is taken only
//! whole: one entry that is no name in the run's own namespace, and it orders nothing.

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A run's place among the runs of its event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPlace {
    /// Tells events apart: runs of one event carry the same annotation.
    pub event: u64,
    /// The name of the event's first run, in the run's own namespace.
    pub first: Box<str>,
    /// The run's own place, from 0.
    pub position: u32,
}

/// Why an annotation orders nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderProblem {
    /// An entry is not `namespace/name`.
    #[error("entry {number} of its execution-order, {text:?}, is not namespace/name")]
    NotAName {
        /// Which, from 1.
        number: usize,
        /// Its beginning.
        text: String,
    },
    /// An entry names another namespace.
    #[error("entry {number} of its execution-order, {text:?}, is in another namespace")]
    AnotherNamespace {
        /// Which, from 1.
        number: usize,
        /// Its beginning.
        text: String,
    },
    /// The run itself is not in it.
    #[error("its execution-order doesn't name the run itself")]
    NotInIt,
}

/// The place of run `name` in `namespace` according to `annotation`; none if that is empty.
pub fn place(annotation: &str, namespace: &str, name: &str) -> Result<Option<EventPlace>, OrderProblem> {
    if annotation.trim().is_empty() {
        return Ok(None);
    }
    let mut first = None;
    let mut position = None;
    for (number, entry) in annotation.split(',').map(str::trim).enumerate() {
        let text = || entry.chars().take(80).collect();
        let parts = entry.split_once('/').filter(|(_, name)| !name.is_empty() && !name.contains('/'));
        let (entry_namespace, entry_name) =
            parts.ok_or_else(|| OrderProblem::NotAName { number: number + 1, text: text() })?;
        if entry_namespace != namespace {
            return Err(OrderProblem::AnotherNamespace { number: number + 1, text: text() });
        }
        first.get_or_insert(entry_name);
        if entry_name == name && position.is_none() {
            position = u32::try_from(number).ok();
        }
    }
    let (Some(first), Some(position)) = (first, position) else { return Err(OrderProblem::NotInIt) };
    let mut hasher = DefaultHasher::new();
    annotation.hash(&mut hasher);
    Ok(Some(EventPlace { event: hasher.finish(), first: first.into(), position }))
}

/// Whether Pipelines-as-Code finds run `name` in `annotation`: it takes entries as they are written, and starts none but those that
/// are named.
pub(crate) fn names(annotation: &str, namespace: &str, name: &str) -> bool {
    annotation.split(',').any(|entry| entry.split_once('/') == Some((namespace, name)))
}

/// Compares names of runs as Pipelines-as-Code sorts those of an event: with the numbers in them taken for what they are, `run-9`
/// before `run-10`.
pub fn by_name(one: &str, other: &str) -> Ordering {
    naturally(one, other).then_with(|| one.cmp(other))
}

fn naturally(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (in_one, in_other) = (digits(one), digits(other));
        if in_one > 0 && in_other > 0 {
            let ((number, rest), (other_number, other_rest)) = (one.split_at(in_one), other.split_at(in_other));
            let (number, other_number) = (number.trim_start_matches('0'), other_number.trim_start_matches('0'));
            let compared = number.len().cmp(&other_number.len()).then_with(|| number.cmp(other_number));
            if compared.is_ne() {
                return compared;
            }
            (one, other) = (rest, other_rest);
            continue;
        }
        let (mut of_one, mut of_other) = (one.chars(), other.chars());
        match (of_one.next(), of_other.next()) {
            (Some(letter), Some(other_letter)) if letter == other_letter => {
                (one, other) = (of_one.as_str(), of_other.as_str());
            }
            (letter, other_letter) => return letter.cmp(&other_letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let sorted = ["a", "job-2-x", "job-9-b", "job-10-a", "job-10-b", "job-a", "jobs"];
        assert!(sorted.is_sorted_by(|one, other| by_name(one, other).is_lt()));
        assert!(sorted.iter().rev().is_sorted_by(|one, other| by_name(one, other).is_gt()), "whichever comes first");
        assert_eq!(naturally("a01", "a1"), Ordering::Equal);
        assert_eq!(by_name("a01", "a1"), Ordering::Less);
    }

    #[test]
    fn finds_the_place_in_the_list() {
        let place = place("ns/a, ns/b,ns/c", "ns", "c").unwrap().unwrap();
        assert_eq!((&*place.first, place.position), ("a", 2));
    }

    #[test]
    fn a_run_named_twice_has_the_first_of_its_places() {
        assert_eq!(place("ns/a,ns/b,ns/a", "ns", "a").unwrap().unwrap().position, 0);
        assert_eq!(place("ns/b,ns/a,ns/a", "ns", "a").unwrap().unwrap().position, 1);
    }

    #[test]
    fn runs_of_one_event_share_it() {
        let event = |name| place("ns/a,ns/b", "ns", name).unwrap().unwrap().event;
        assert_eq!(event("a"), event("b"));
    }

    #[test]
    fn an_empty_one_orders_nothing_and_is_no_problem() {
        assert_eq!(place("", "ns", "a"), Ok(None));
        assert_eq!(place("  ", "ns", "a"), Ok(None));
    }

    #[test]
    fn a_malformed_one_orders_nothing() {
        for annotation in ["x", "a/b/c", "ns/a,", ",ns/a", "ns/", "/", "ns/a,x"] {
            let problem = place(annotation, "ns", "a").unwrap_err();
            let expected = matches!(problem, OrderProblem::NotAName { .. } | OrderProblem::AnotherNamespace { .. });
            assert!(expected, "{annotation:?}: {problem}");
        }
    }

    #[test]
    fn a_malformed_one_is_named_by_its_number() {
        let problem = place("ns/a,x", "ns", "a").unwrap_err();
        assert_eq!(problem, OrderProblem::NotAName { number: 2, text: "x".to_owned() });
    }

    #[test]
    fn one_that_names_another_namespace_orders_nothing() {
        let problem = place("ns/a,other/b", "ns", "a").unwrap_err();
        assert_eq!(problem, OrderProblem::AnotherNamespace { number: 2, text: "other/b".to_owned() });
    }

    #[test]
    fn one_without_the_run_orders_nothing() {
        assert_eq!(place("ns/a,ns/b", "ns", "c"), Err(OrderProblem::NotInIt));
    }

    #[test]
    fn ten_thousand_entries_are_read() {
        let list: Vec<String> = (0..10_000).map(|number| format!("ns/r{number}")).collect();
        assert_eq!(place(&list.join(","), "ns", "r9999").unwrap().unwrap().position, 9_999);
    }
}
