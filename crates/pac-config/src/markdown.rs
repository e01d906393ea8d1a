//! The table of keys as Markdown, for `docs/settings.md`.

use std::fmt::Write;

use crate::key::{Group, Key};
use crate::keys::keys;

/// Every key as Markdown: one headed table for each group.
///
/// It ends with a line break and has no title of its own, so that a page can be built around it.
pub fn settings_markdown() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a String can't fail.
        let _ = writeln!(text, "## {group}\n");
        text.push_str("| key | default | allowed | meaning | a change in a running watcher |\n");
        text.push_str("| --- | --- | --- | --- | --- |\n");
        for key in keys().filter(|key| key.group == group) {
            text.push_str(&row(key));
        }
    }
    text
}

fn row(key: &Key) -> String {
    let default = if key.default.is_empty() { "(not set)".to_owned() } else { format!("`{}`", key.default) };
    let secret = if key.secret { " Never shown." } else { "" };
    format!(
        "| `{}` | {} | {} | {}{secret} | {} |\n",
        key.name,
        default,
        cell(key.allowed),
        cell(key.doc),
        key.impact.explanation()
    )
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_row_for_every_key() {
        let text = settings_markdown();
        for key in keys() {
            assert!(text.contains(&format!("\n| `{}` | ", key.name)), "{}", key.name);
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), keys().len());
    }

    #[test]
    fn every_row_has_five_cells() {
        let rows = settings_markdown();
        assert!(rows.lines().filter(|line| line.starts_with('|')).all(|line| line.matches(" | ").count() == 4));
    }

    #[test]
    fn says_which_keys_are_never_shown() {
        assert_eq!(settings_markdown().matches("Never shown.").count(), 2);
    }
}
