//! Generated documents are as they would be generated now.

use super::sources::Sources;

pub(super) fn problems(sources: &Sources, generated: &[(&str, String)]) -> Vec<String> {
    let is_current = |path: &str, text: &String| sources.texts.get(path) == Some(text);
    let stale = generated.iter().filter(|(path, text)| !is_current(path, text));
    stale.map(|(path, _)| format!("{path}: is not what `cargo xtask docs` makes; run it")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(committed: &[(&str, &str)]) -> Vec<String> {
        problems(&Sources::of(committed), &[("docs/a.md", "as generated\n".to_owned())])
    }

    #[test]
    fn a_document_that_differs_or_is_missing_is_found() {
        assert_eq!(problems_of(&[("docs/a.md", "as generated\n")]), Vec::<String>::new());
        assert_eq!(problems_of(&[("docs/a.md", "edited by hand\n")]).len(), 1);
        assert_eq!(problems_of(&[("docs/b.md", "as generated\n")]).len(), 1);
    }
}
