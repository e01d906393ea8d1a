//! Who may call a driver, and who may know which one it is.
//!
//! A driver's methods are for pac-concurrency alone: whoever makes a driver hands it over as a `ConnectedStore`. Without the
//! trait's name in a file nothing there can call them, not even on a driver of a known type; so the name is what is looked for.
//! What follows from which driver it is, is asked of its `Capabilities`; so no other file has the drivers' names.

use super::sources::{Sources, without_tests};

/// Who may name the traits of the contract, and why.
const MAY_CALL: &[(&str, &str)] = &[
    ("crates/pac-concurrency/", "the manager and `ConnectedStore` are the callers"),
    ("crates/pac-driver-mem/", "implements them"),
    ("crates/pac-driver-pg/", "implements them"),
    ("crates/pac-driver-etcd/", "implements them"),
    ("crates/pac-bench/", "measures a driver beside what its server can do alone"),
    ("crates/pac-judge/", "judges a driver from outside"),
    ("crates/pac-threads/", "has the manager's own files in it"),
    ("crates/pac-sim/", "implements one, whose server fails on purpose"),
];

/// What gives a file the methods of a driver: the traits, and whatever may stand for them.
const CONTRACT: &[&str] = &["Driver", "HistoryStore", "LegacySource", "driver", "as", "*"];

/// Who may know which driver it is, and why.
const MAY_TELL_APART: &[(&str, &str)] = &[
    ("crates/pac/src/driver.rs", "makes them of settings"),
    ("crates/pac/src/cli.rs", "has them as values of flags"),
    ("crates/pac-config/", "has them as values of settings"),
    ("crates/pac-metrics/", "has them as values of a label"),
    ("crates/pac-driver-mem/", "is one"),
    ("crates/pac-driver-pg/", "is one"),
    ("crates/pac-driver-etcd/", "is one"),
    ("crates/pac-bench/", "starts their servers"),
    ("crates/pac-devcluster/", "starts watchers with them"),
    ("crates/pac-devservers/", "starts their servers"),
    ("crates/pac-judge/", "starts their servers"),
    ("crates/pac-sim/", "plays their servers"),
];

/// The drivers' names, and what tells their settings apart.
const NAMES: &[&str] = &["\"postgresql\"", "\"etcd\"", "\"memory\"", "DriverSettings::", "DriverKind::"];

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in sources.rust().filter(|(path, _)| path.starts_with("crates/") && path.contains("/src/")) {
        let code = without_comments(&without_tests(text));
        let named = of_the_contract(&code);
        if let (false, Some(word)) = (is_among(path, MAY_CALL), named) {
            problems.push(format!(
                "{path}: takes `{word}` from pac_concurrency; only pac-concurrency calls a driver, others have a ConnectedStore"
            ));
        }
        let name = NAMES.iter().find(|name| code.contains(*name));
        if let (false, Some(name)) = (is_among(path, MAY_TELL_APART), name) {
            problems.push(format!("{path}: has {name}; what depends on the driver is asked of its Capabilities"));
        }
    }
    problems
}

fn is_among(path: &str, allowed: &[(&str, &str)]) -> bool {
    allowed.iter().any(|(of, _)| path.starts_with(of))
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

/// The first word that the code takes from pac_concurrency and that gives it a driver's methods.
fn of_the_contract(code: &str) -> Option<&str> {
    let (mut rest, mut found) = (code, None);
    while let (None, Some((before, after))) = (found, rest.split_once("pac_concurrency")) {
        let is_use = before.trim_end().ends_with("use");
        let end = after.find(|c: char| if is_use { c == ';' } else { !(c.is_alphanumeric() || "_:".contains(c)) });
        let taken = &after[..end.unwrap_or(after.len())];
        found = taken.split(|c: char| !(c.is_alphanumeric() || "_*".contains(c))).find(|word| CONTRACT.contains(word));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(path: &str, code: &str) -> usize {
        problems(&Sources::of(&[(path, code)])).len()
    }

    #[test]
    fn a_call_of_a_driver_from_elsewhere_is_found() {
        let watcher = |code| problems_of("crates/pac-watcher/src/a.rs", code);
        assert_eq!(
            watcher("use pac_concurrency::{ConnectedStore, DriverError};\nuse pac_config::{Change, Driver};\n"),
            0
        );
        assert_eq!(watcher("/// See [`pac_concurrency::Driver`].\n"), 0);
        assert_eq!(watcher("use pac_concurrency::{\n    ConnectedStore, Driver,\n};\n"), 1);
        assert_eq!(watcher("fn load(from: &dyn pac_concurrency::driver::Driver) {}\n"), 1);
        assert_eq!(watcher("use pac_concurrency::*;\n"), 1);
        assert_eq!(watcher("use pac_concurrency::LegacySource as _;\n"), 1);
        assert_eq!(problems_of("crates/pac/src/driver.rs", "use pac_concurrency::Driver;\n"), 1);
        assert_eq!(problems_of("crates/pac-driver-mem/src/driver.rs", "use pac_concurrency::Driver;\n"), 0);
        assert_eq!(problems_of("crates/pac-watcher/tests/a.rs", "use pac_concurrency::Driver;\n"), 0);
    }

    #[test]
    fn a_question_for_a_drivers_name_is_found() {
        let asked = "let key = if from.name() == \"etcd\" { 1 } else { 2 };\n";
        let matched = "match settings { DriverSettings::Memory(_) => 1, _ => 2 }\n";
        for code in [asked, matched] {
            assert_eq!(problems_of("crates/pac-watcher/src/a.rs", code), 1);
            assert_eq!(problems_of("crates/pac-concurrency/src/conformance/a.rs", code), 1);
            assert_eq!(problems_of("crates/pac/src/commands/migrate.rs", code), 1);
            assert_eq!(problems_of("crates/pac/src/driver.rs", code), 0);
        }
        assert_eq!(problems_of("crates/pac-watcher/src/a.rs", "// With \"etcd\" it is another.\n"), 0);
    }
}
