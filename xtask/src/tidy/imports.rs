//! Which modules of its own crate a file names, by `crate::…` and `super::…`.

use super::sources::without_tests;

/// The module that a file of a crate's `src` is, from the crate's root; the root itself is empty.
pub(super) fn module_of(file: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// The paths that `text`, a file of `module`, names in its crate, from the crate's root. What it has for its own tests doesn't count.
pub(super) fn paths(module: &[&str], text: &str) -> Vec<Vec<String>> {
    let text = without_tests(text);
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect();
    let code = code.join("\n");
    let mut found = Vec::new();
    for word in ["crate", "super"] {
        for (at, _) in code.match_indices(&format!("{word}::")) {
            let is_whole =
                !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
            if is_whole {
                tree(&mut code[at..].chars().peekable(), &[], &mut found);
            }
        }
    }
    found.iter().filter_map(|path| from_root(module, path)).collect()
}

/// Reads what begins here, a path or several in braces, each with `before` in front.
fn tree(text: &mut std::iter::Peekable<std::str::Chars<'_>>, before: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = before.to_vec();
    loop {
        skip_space(text);
        if text.next_if_eq(&'{').is_some() {
            loop {
                skip_space(text);
                match text.peek() {
                    None => return,
                    Some('}') => {
                        text.next();
                        return;
                    }
                    Some(_) => tree(text, &path, found),
                }
                // What stands between here and the next of them (a comma, `as` and a name) is none.
                while text.next_if(|c| !matches!(c, ',' | '}')).is_some() {}
                text.next_if_eq(&',');
            }
        }
        let mut word = String::new();
        while let Some(c) = text.next_if(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
        }
        if word.is_empty() {
            break;
        }
        path.push(word);
        if text.next_if_eq(&':').is_none() || text.next_if_eq(&':').is_none() {
            break;
        }
    }
    found.push(path);
}

fn skip_space(text: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while text.next_if(|c| c.is_whitespace()).is_some() {}
}

fn from_root(module: &[&str], path: &[String]) -> Option<Vec<String>> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (start, rest) = match path.first().map(String::as_str) {
        Some("crate") => (0, &path[1..]),
        _ => (module.len().checked_sub(ups)?, &path[ups..]),
    };
    Some(module[..start].iter().map(|part| (*part).to_owned()).chain(rest.iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(module: &[&str], text: &str) -> Vec<String> {
        paths(module, text).iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn trees_and_paths_in_code_are_read_to_their_ends() {
        let text =
            "use crate::{a::{self, b::C}, d as e};\nuse super::f::{G, h};\nfn i() { crate::j::k(); } // crate::not\n";
        assert_eq!(named(&["x", "y"], text), ["a::self", "a::b::C", "d", "j::k", "x::f::G", "x::f::h"]);
    }

    #[test]
    fn tests_of_the_file_and_names_that_only_end_alike_count_for_nothing() {
        let text = "use my_crate::a;\n#[cfg(test)]\nmod tests {\n    use crate::b;\n}\nuse crate::c;\n";
        assert_eq!(named(&["x"], text), ["c"]);
    }

    #[test]
    fn files_are_modules() {
        assert_eq!(module_of("lib.rs"), [""; 0]);
        assert_eq!(module_of("a/mod.rs"), ["a"]);
        assert_eq!(module_of("a/b.rs"), ["a", "b"]);
    }
}
