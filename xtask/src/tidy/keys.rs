//! Keys of the settings are named once, in their table: whatever needs one takes its constant, and a misspelt one doesn't compile.

use pac_config::keys;

use super::sources::{Sources, without_tests};

/// The table.
const TABLE: &str = "crates/pac-config/src/keys.rs";

pub(super) fn problems(sources: &Sources) -> Vec<String> {
    let code = sources.rust().filter(|(path, _)| path.contains("/src/") && !path.contains("/tests/") && *path != TABLE);
    let named = code.flat_map(|(path, text)| {
        keys().filter(|key| without_tests(text).contains(&format!("\"{key}\""))).map(move |key| {
            let constant = key.name.to_ascii_uppercase().replace('-', "_");
            format!("{path}: \"{key}\" is pac_config::keys::{constant}")
        })
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(path: &str, text: &str) -> usize {
        problems(&Sources::of(&[(path, text)])).len()
    }

    #[test]
    fn a_key_that_is_spelled_out_is_found() {
        let text = format!("let host = settings.get(\"{}\");\n", keys::POSTGRESQL_HOST);
        assert_eq!(problems_of("crates/a/src/b.rs", &text), 1);
        assert_eq!(problems_of(TABLE, &text), 0);
        assert_eq!(problems_of("crates/a/tests/b.rs", &text), 0, "a test says what a person would");
        assert_eq!(problems_of("crates/a/src/b.rs", &format!("#[cfg(test)]\nmod tests {{\n{text}}}\n")), 0);
    }
}
