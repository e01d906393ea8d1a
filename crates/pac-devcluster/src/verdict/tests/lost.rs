//! What a store that lost its last commits excuses, and what it doesn't.

use std::collections::BTreeSet;

use super::*;

/// The verdict on the limit, where the slot of `a` was lost at that moment.
fn is_kept(story: &Story, lost_at: u64) -> bool {
    let lost = LostSlots { at: Duration::from_millis(lost_at), runs: BTreeSet::from(["a".to_owned()]) };
    let options = VerdictOptions { lost: vec![lost], in_flight: Duration::from_secs(5), ..VerdictOptions::default() };
    judge(&story.0, &options).promise("P1").unwrap().held
}

/// Of one slot, `a` gets it, and then `b`.
fn both(a: u64, b: u64) -> Story {
    let mut story = Story::begin(1, &["a", "b"]);
    story.starts(a, "a");
    story.starts(b, "b");
    story.ends(b + 1, "a");
    story.ends(b + 1, "b");
    story
}

#[test]
fn a_run_whose_slot_was_lost_and_that_no_cache_shows_yet_is_not_counted() {
    assert!(is_kept(&both(20_000, 21_000), 19_900));
    assert!(is_kept(&both(20_000, 24_000), 20_100));
}

#[test]
fn it_is_counted_once_it_shows() {
    assert!(!is_kept(&both(20_000, 26_000), 20_100));
    assert!(!is_kept(&both(10_000, 20_000), 19_900), "it was shown long before its slot was lost");
    assert!(!is_kept(&both(20_000, 21_000), 22_000), "the slot was there");
}

#[test]
fn the_start_that_was_on_its_way_is_excused_and_no_later_one() {
    let mut story = Story::begin(1, &["b", "a"]);
    story.starts(20_000, "b");
    story.starts(21_000, "a");
    story.ends(22_000, "a");
    story.ends(22_000, "b");
    assert!(is_kept(&story, 19_000));
    assert!(!is_kept(&story, 5_000));
}
