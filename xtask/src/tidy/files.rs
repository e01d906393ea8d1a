//! Checks of single files.

use super::sources::Sources;

/// Lines a Rust file may have.
const LINES: usize = 400;

/// Files that may be longer, and why.
const LONGER: &[(&str, &str)] = &[];

/// Texts that must not be anywhere: marks of work left undone, and paths of the machine it was done on. Written in two
/// halves, so that this file doesn't have them.
const STRAY: &[(&str, &str)] = &[
    ("TO", "DO"),
    ("FIX", "ME"),
    ("todo", "!("),
    ("unimple", "mented!("),
    ("/ro", "ot/"),
    ("/wo", "rk/"),
    ("../sha", "red"),
];

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text) in sources.rust() {
        let lines = text.lines().count();
        if lines > LINES && !LONGER.iter().any(|(longer, _)| *longer == path) {
            problems.push(format!("{path}: {lines} lines; one concept a file, {LINES} lines at most"));
        }
        if is_crate_root(path) && !text.trim_start().starts_with("//!") {
            problems.push(format!("{path}: a crate opens with its story (//!)"));
        }
        if path.contains("/tests/") {
            problems.extend(unexplained_sleeps(path, text));
        }
        if !is_reachable(path, sources) {
            problems.push(format!("{path}: no file says `mod` for it"));
        }
    }
    for (path, text) in &sources.texts {
        for (half, rest) in STRAY {
            let stray = format!("{half}{rest}");
            problems.extend(lines_with(text, &stray).map(|line| format!("{path}:{line}: {stray} has no place here")));
        }
    }
    problems
}

fn lines_with<'a>(text: &'a str, part: &'a str) -> impl Iterator<Item = usize> + 'a {
    (1..).zip(text.lines()).filter(move |(_, line)| line.contains(part)).map(|(number, _)| number)
}

fn is_crate_root(path: &str) -> bool {
    ["src/lib.rs", "src/main.rs"].iter().any(|root| path.ends_with(root)) || is_test_root(path)
}

fn is_test_root(path: &str) -> bool {
    // A test is a file, or a folder with a `main.rs`.
    let test = path.strip_suffix("/main.rs").unwrap_or(path);
    test.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("/tests"))
}

/// A test waits for the thing itself; where it can't, it says why.
fn unexplained_sleeps(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let explained = |number: usize| {
        let comment = |line: &str| line.trim_start().starts_with("// ");
        let above = number.checked_sub(1).is_some_and(|above| comment(lines[above]));
        above || lines[number].contains("; //") || lines[number].contains(", //")
    };
    let sleeps = (0..lines.len()).filter(|number| lines[*number].contains("sleep(") && !explained(*number));
    sleeps.map(|number| format!("{path}:{}: a test that sleeps says why", number + 1)).collect()
}

/// Whether some `mod name;` leads to the file.
fn is_reachable(path: &str, sources: &Sources) -> bool {
    let Some((folder, file)) = path.rsplit_once('/') else { return true };
    if is_crate_root(path) || file == "build.rs" || folder.ends_with("/benches") || folder.ends_with("/examples") {
        return true;
    }
    let (owner_folder, name) = match file {
        "mod.rs" => folder.rsplit_once('/').unwrap_or(("", folder)),
        file => (folder, file.trim_end_matches(".rs")),
    };
    let declaration = format!("mod {name};");
    let declares = |candidate: &str| {
        let text = sources.texts.get(candidate);
        text.is_some_and(|text| {
            text.lines().any(|line| {
                line.trim_start()
                    .trim_start_matches("pub ")
                    .trim_start_matches("pub(crate) ")
                    .trim_start_matches("pub(super) ")
                    == declaration
            })
        })
    };
    let beside = ["lib.rs", "main.rs", "mod.rs"].iter().any(|root| declares(&format!("{owner_folder}/{root}")));
    let in_tests = owner_folder.ends_with("/tests");
    beside
        || declares(&format!("{owner_folder}.rs"))
        || (in_tests && any_test_declares(owner_folder, &declares, sources))
}

fn any_test_declares(folder: &str, declares: &dyn Fn(&str) -> bool, sources: &Sources) -> bool {
    sources.rust().any(|(path, _)| path.rsplit_once('/').is_some_and(|(of, _)| of == folder) && declares(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(texts: &[(&str, &str)]) -> Vec<String> {
        problems(&Sources::of(texts))
    }

    #[test]
    fn a_crate_without_a_story_is_found() {
        assert_eq!(problems_of(&[("crates/a/src/lib.rs", "//! Story.\n")]), Vec::<String>::new());
        assert_eq!(problems_of(&[("crates/a/src/lib.rs", "use b;\n")]).len(), 1);
    }

    #[test]
    fn a_long_file_is_found() {
        let long = format!("//! Story.\n{}", "\n".repeat(LINES));
        assert_eq!(problems_of(&[("crates/a/src/lib.rs", &long)]).len(), 1);
    }

    #[test]
    fn an_orphan_is_found() {
        let root = ("crates/a/src/lib.rs", "//! Story.\nmod b;\npub mod d;\n");
        let (b, c, d) = (("crates/a/src/b.rs", ""), ("crates/a/src/c.rs", ""), ("crates/a/src/d/mod.rs", ""));
        assert_eq!(problems_of(&[root, b, d]), Vec::<String>::new());
        assert_eq!(problems_of(&[root, b, c, d]), ["crates/a/src/c.rs: no file says `mod` for it"]);
    }

    #[test]
    fn a_test_that_sleeps_for_no_reason_is_found() {
        let sleeps = |line: &str| problems_of(&[("crates/a/tests/b.rs", &format!("//! Story.\n{line}\n"))]).len();
        assert_eq!(sleeps("sleep(SECOND);"), 1);
        assert_eq!(sleeps("sleep(SECOND); // the lease has to run out"), 0);
        assert_eq!(sleeps("// The lease has to run out.\nsleep(SECOND);"), 0);
    }

    #[test]
    fn stray_texts_are_found_anywhere() {
        for (half, rest) in STRAY {
            assert_eq!(problems_of(&[("docs/a.md", &format!("see {half}{rest}"))]).len(), 1);
        }
    }
}
