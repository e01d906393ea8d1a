//! No circles within a crate: whoever reads a module need not know first what is built on it.
//!
//! A file names another by `crate::…` or `super::…`. That a child uses what its parent has, or a parent its children, is how a folder
//! is made, and counts for nothing. All else is an arrow between two siblings, each with all that is below it: `a::x` naming `b::y`
//! is `a → b`. So two folders whose files know each other are a circle, even where no two files are.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::{module_of, paths};
use super::sources::Sources;

/// Arrows between siblings, each with the files it is of.
type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let circles = |folder: &str| circles(&arrows(sources, folder)).into_iter();
    let folders = sources.manifests().map(|(folder, _)| folder);
    folders.flat_map(|folder| circles(folder).map(move |circle| format!("{folder}/src: a circle: {circle}"))).collect()
}

/// The shortest circle through each arrow that is in one; each circle once.
fn circles(arrows: &Arrows) -> BTreeSet<String> {
    let through = |(from, to): &(String, String)| {
        let mut circle = way(arrows, to, from)?;
        // From its first module in the alphabet, so that it reads the same through each of its arrows.
        let first = (0..circle.len()).min_by_key(|at| &circle[*at])?;
        circle.rotate_left(first);
        circle.push(circle[0].clone());
        let files = circle.windows(2).filter_map(|pair| arrows.get(&(pair[0].clone(), pair[1].clone()))?.first());
        let files: Vec<&str> = files.map(String::as_str).collect();
        Some(format!("{} (by {})", circle.join(" → "), files.join(", ")))
    };
    arrows.keys().filter_map(through).collect()
}

/// The shortest way along the arrows, both ends included.
fn way(arrows: &Arrows, from: &str, to: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![from.to_owned()]];
    let mut seen = BTreeSet::from([from.to_owned()]);
    while !ways.is_empty() {
        if let Some(there) = ways.iter().find(|way| way.last().is_some_and(|last| last == to)) {
            return Some(there.clone());
        }
        let mut longer = Vec::new();
        for way in &ways {
            let next = arrows.keys().filter(|(start, _)| Some(start) == way.last()).map(|(_, end)| end);
            for end in next {
                if seen.insert(end.clone()) {
                    longer.push([way.as_slice(), std::slice::from_ref(end)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

fn arrows(sources: &Sources, folder: &str) -> Arrows {
    let prefix = format!("{folder}/src/");
    let files = sources.rust().filter_map(|(path, text)| Some((path.strip_prefix(&prefix)?, text)));
    let files: Vec<(&str, &str)> = files.filter(|(file, _)| !module_of(file).contains(&"tests")).collect();
    let modules: BTreeSet<Vec<&str>> = files.iter().map(|(file, _)| module_of(file)).collect();
    let mut arrows = Arrows::new();
    for (file, text) in &files {
        let from = module_of(file);
        for path in paths(&from, text) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            // The module that has what is named.
            let Some(to) = (0..=path.len()).rev().map(|end| &path[..end]).find(|start| modules.contains(*start)) else {
                continue;
            };
            let shared = from.iter().zip(to).take_while(|(one, other)| one == other).count();
            if shared < from.len() && shared < to.len() {
                let arrow = (from[..=shared].join("::"), to[..=shared].join("::"));
                arrows.entry(arrow).or_default().insert((*file).to_owned());
            }
        }
    }
    arrows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(file, text)| (format!("crates/a/src/{file}"), *text));
        let files: Vec<(String, &str)> = files.chain([("crates/a/Cargo.toml".to_owned(), "")]).collect();
        let texts: Vec<(&str, &str)> = files.iter().map(|(file, text)| (file.as_str(), *text)).collect();
        problems(&Sources::of(&texts))
    }

    #[test]
    fn files_that_name_each_other_are_found_however_long_the_way() {
        let files =
            [("b.rs", "use crate::c::C;\n"), ("c.rs", "use super::d;\n"), ("d.rs", "fn f() { crate::b::g() }\n")];
        let found = problems_of(&files);
        assert_eq!(found, ["crates/a/src: a circle: b → c → d → b (by b.rs, c.rs, d.rs)"]);
        assert_eq!(problems_of(&files[..2]), [""; 0]);
    }

    #[test]
    fn folders_are_told_by_all_that_is_in_them() {
        let found = problems_of(&[
            ("b/mod.rs", ""),
            ("b/c.rs", "use crate::d::D;\n"),
            ("d/mod.rs", ""),
            ("d/e.rs", "use crate::b::B;\n"),
        ]);
        assert_eq!(found, ["crates/a/src: a circle: b → d → b (by b/c.rs, d/e.rs)"]);
    }

    #[test]
    fn parents_and_children_may_know_each_other() {
        let files = [
            ("lib.rs", "use crate::b::B;\n"),
            ("b/mod.rs", "use self::c::C;\n"),
            ("b/c.rs", "use super::B;\nuse crate::A;\n"),
        ];
        assert_eq!(problems_of(&files), [""; 0]);
    }
}
