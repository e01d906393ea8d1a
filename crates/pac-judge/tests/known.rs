//! Histories of which it is known whether they can be explained.

#![allow(clippy::unwrap_used, reason = "tests")]

use pac_judge::{judge, text};

/// Whether the history of these lines has an explanation, where commits of more than two runs may have two versions.
fn is_explained(lines: &[&str]) -> bool {
    let text = format!("repository a/b\n{}\n", lines.join("\n"));
    judge(&text::read(&text).unwrap()[0], 2).is_ok()
}

const EMPTY: &str = "0 1 c0 load whole => v0 held waits of 0 whole";
const FIRST: &str = "2 5 c0 commit v0 by 0 enqueue 1@7 => v1";

#[test]
fn one_after_the_other() {
    let loaded = "6 7 c1 load whole => v1 held waits 1@7 of 1 whole";
    assert!(is_explained(&[EMPTY, FIRST, loaded]));
    assert!(
        !is_explained(&[EMPTY, FIRST, "6 7 c1 load whole => v0 held waits of 0 whole"]),
        "it is older than the commit"
    );
    assert!(!is_explained(&[EMPTY, FIRST, "6 7 c1 load whole => v1 held waits 1@8 of 1 whole"]), "another place");
    assert!(!is_explained(&[EMPTY, FIRST, "6 7 c1 load whole => v1 held waits 1@7 of 2 whole"]), "another count");
    assert!(!is_explained(&[EMPTY, FIRST, "6 7 c1 load 0 => v1 held waits of 1 whole"]), "that isn't all");
    assert!(!is_explained(&[EMPTY, FIRST, "6 7 c1 load whole => v2 held waits 1@7 of 1 whole"]), "nobody made it");
}

#[test]
fn at_the_same_time_it_may_be_before_or_after() {
    let (before, after) =
        ("3 4 c1 load whole => v0 held waits of 0 whole", "3 4 c2 load whole => v1 held waits 1@7 of 1 whole");
    assert!(is_explained(&[FIRST, before, after]));
    // Who looks later sees no less.
    assert!(!is_explained(&[FIRST, after, "5 6 c1 load whole => v0 held waits of 0 whole"]));
}

#[test]
fn of_two_commits_on_a_version_one_is_done() {
    let second = |answer| format!("3 6 c1 commit v0 by 1 hold 2@8 => {answer}");
    assert!(is_explained(&[FIRST, &second("conflict")]));
    assert!(!is_explained(&[FIRST, &second("v2")]));
    assert!(!is_explained(&["3 6 c1 commit v0 by 1 => conflict"]), "nobody else was there");
}

#[test]
fn a_lost_commit_happens_at_any_time_or_never() {
    let lost = "2 - c0 commit v0 by 0 enqueue 1@7 => lost";
    let before = "9 10 c1 load whole => v0 held waits of 0 whole";
    let after = "90 91 c1 load whole => v5 held waits 1@7 of 1 whole";
    assert!(is_explained(&[lost, before]));
    assert!(is_explained(&[lost, before, after]));
    assert!(is_explained(&[lost, after, "92 93 c1 commit v5 by 1 hold 1@0 => v6"]));
    assert!(!is_explained(&[lost, after, "95 96 c1 load whole => v0 held waits of 0 whole"]), "it was there already");
    assert!(!is_explained(&[lost, after, "95 96 c1 load whole => v6 held waits 1@7 of 1 whole"]), "it happens once");
    assert!(
        !is_explained(&[
            "90 - c0 commit v0 by 0 enqueue 1@7 => lost",
            "2 3 c1 load whole => v5 held waits 1@7 of 1 whole"
        ]),
        "not before"
    );
    let moved_on = "3 4 c1 commit v0 by 1 enqueue 2@8 => v1";
    assert!(is_explained(&[lost, moved_on]));
    assert!(!is_explained(&[lost, moved_on, "5 6 c1 load whole => v7 held waits 1@7 2@8 of 2 whole"]), "it conflicts");
}

#[test]
fn no_version_comes_back() {
    let (on, back) = ("6 7 c0 commit v1 by 0 release 1 => v2", "8 9 c0 commit v2 by 0 enqueue 1@7 => v1");
    assert!(is_explained(&[FIRST, on]));
    assert!(!is_explained(&[FIRST, on, back]));
    let lost = "8 - c0 commit v2 by 0 enqueue 1@7 => lost";
    assert!(!is_explained(&[FIRST, on, lost, "9 10 c1 load whole => v1 held waits 1@7 of 1 whole"]));
    assert!(!is_explained(&["1 2 c0 commit v0 by 0 => v0"]));
}

#[test]
fn a_change_does_what_the_contract_says() {
    let begin = "1 2 c3 commit v0 by 3 enqueue 1@5 2@6 => v1";
    let loaded = |answer| format!("5 6 c1 load 1 => v2 {answer}");
    let all =
        |change, answer| is_explained(&[begin, &format!("3 4 c4 commit v1 by 4 {change} => v2"), &loaded(answer)]);
    assert!(all("hold 1@9", "held 1@5/4 waits 2@6 of 1 whole"), "its place stays with the slot");
    assert!(all("hold 3@9", "held 3@9/4 waits 1@5 of 2 part"));
    assert!(all("release 1 enqueue 1@9", "held waits 2@6 of 2 part"), "it lost its place");
    assert!(all("enqueue 1@9", "held waits 1@5 of 2 part"), "it waits already");
    assert!(all("give-back 1", "held waits 1@5 of 2 part"), "it has no slot");
    assert!(!all("hold 1@9", "held 1@9/4 waits 2@6 of 1 whole"));
    assert!(!all("hold 1@9", "held 1@5/3 waits 2@6 of 1 whole"));
}

#[test]
fn a_large_commit_may_have_two_versions() {
    let large = "1 2 c0 commit v0 by 0 enqueue 1@1 2@2 3@3 => v1";
    let loaded = |version| format!("3 4 c1 load 0 => {version} held waits of 3 part");
    assert!(is_explained(&[large, &loaded("v1")]));
    assert!(is_explained(&[large, &loaded("v2"), "5 6 c0 commit v1 by 0 => conflict"]));
    assert!(!is_explained(&[large, &loaded("v2"), "5 6 c0 commit v1 by 0 => v3"]), "that one is over");
    assert!(!is_explained(&[large, &loaded("v2"), "5 6 c1 load 0 => v3 held waits of 3 part"]), "not three");
    assert!(!is_explained(&[FIRST, "6 7 c1 load 0 => v2 held waits of 1 part"]), "it is small");
}

#[test]
fn the_shortest_part_is_what_contradicts_itself() {
    let mut lines = vec!["repository a/b".to_owned()];
    for number in 0..200 {
        let (called, version) = (number * 10, number + 1);
        lines.push(format!(
            "{called} {} c0 commit v{number} by 0 release 1 enqueue 1@{number} => v{version}",
            called + 5
        ));
        lines.push(format!("{} {} c1 load 0 => v{version} held waits of 1 part", called + 6, called + 7));
    }
    lines.push("1503 1508 c2 commit v150 by 2 hold 1@0 => v999".to_owned());
    let breach = judge(&text::read(&lines.join("\n")).unwrap()[0], usize::MAX).unwrap_err();
    let part: Vec<String> = breach.part.iter().map(text::line).collect();
    let both = [
        "1500 1505 c0 commit v150 by 0 release 1 enqueue 1@150 => v151",
        "1503 1508 c2 commit v150 by 2 hold 1@0 => v999",
    ];
    assert!(both.iter().all(|line| part.contains(&(*line).to_owned())) && part.len() <= 3, "{breach}");
}
