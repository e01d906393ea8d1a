//! Tables that fit the terminal: names are cut in the middle, and text goes on below. Where nobody looks (a pipe, a file) nothing
//! is cut, and a row is a line.

use std::borrow::Cow;

use textwrap::{Options, WordSplitter};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// As wide as its widest entry.
    Left,
    /// The same, with numbers under each other.
    Right,
    /// A name, cut in the middle if need be: names that begin alike are told apart by their ends.
    Name,
    /// Text, in the last column alone: broken into lines if need be.
    Text,
}

const GAP: &str = "  ";
/// Columns a name keeps before text leaves its place beside it.
const NAME_LEAST: usize = 24;
/// And columns of text that are worth a place beside names.
const TEXT_LEAST: usize = 30;
/// How far text below its row is set in.
const BELOW: usize = 4;

/// Where what is in a row goes.
struct Layout {
    /// Of each column; of text none if it goes below.
    widths: Vec<usize>,
    /// Columns from the left at which text goes on, and how many it has there.
    text: (usize, usize),
}

/// A table with these columns, its first line being titles; no wider than `width` columns, if there is a width.
pub(crate) fn table(columns: &[(&str, Set)], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let layout = Layout::of(columns, rows, width);
    let titles: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    // Of text below there is no column to give a title to.
    let titles = layout.row(columns, &titles).into_iter().take(1);
    titles.chain(rows.iter().flat_map(|row| layout.row(columns, row))).collect()
}

// === impl Layout ===

impl Layout {
    fn of(columns: &[(&str, Set)], rows: &[Vec<String>], width: Option<usize>) -> Self {
        let mut widths: Vec<usize> = columns.iter().map(|(title, _)| title.width()).collect();
        for row in rows {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = (*width).max(columns_of(&plain(text)));
            }
        }
        let gaps = GAP.len() * columns.len().saturating_sub(1);
        let needed = widths.iter().sum::<usize>() + gaps;
        let Some(width) = width.filter(|width| needed > *width) else {
            return Self { widths, text: (0, usize::MAX) };
        };
        let last = columns.len().saturating_sub(1);
        let text = columns.last().filter(|(_, set)| *set == Set::Text).map(|_| widths.get(last).copied().unwrap_or(0));
        let names: usize = sum(columns, &widths, Set::Name);
        let room = width.saturating_sub(needed - names - text.unwrap_or(0));
        let beside = text.map(|text| room.saturating_sub(text.min(TEXT_LEAST)));
        match (text, beside.filter(|beside| *beside >= names.min(NAME_LEAST))) {
            (Some(_), Some(beside)) => {
                narrow(columns, &mut widths, names.saturating_sub(beside));
                let text = room - sum(columns, &widths, Set::Name);
                widths.pop();
                Self { text: (width - text, text), widths }
            }
            (Some(_), None) => {
                widths.pop();
                narrow(columns, &mut widths, names.saturating_sub(room + GAP.len()));
                Self { widths, text: (BELOW, width.saturating_sub(BELOW)) }
            }
            (None, _) => {
                narrow(columns, &mut widths, names.saturating_sub(room));
                Self { widths, text: (0, usize::MAX) }
            }
        }
    }

    fn row(&self, columns: &[(&str, Set)], row: &[String]) -> Vec<String> {
        let cells = columns.iter().zip(&self.widths).zip(row).map(|(((_, set), width), text)| {
            let text = if *set == Set::Name { middle_cut(text, *width) } else { plain(text) };
            let space = " ".repeat(width.saturating_sub(columns_of(&text)));
            if *set == Set::Right { space + &text } else { text + &space }
        });
        let mut line = cells.collect::<Vec<_>>().join(GAP);
        let Some(text) = row.get(self.widths.len()) else { return vec![line.trim_end().to_owned()] };
        let (indent, room) = self.text;
        let mut text = broken(text, room).into_iter();
        let mut lines = Vec::new();
        if indent > BELOW {
            line = format!("{line}{GAP}{}", text.next().unwrap_or_default());
        }
        lines.push(line.trim_end().to_owned());
        lines.extend(text.map(|text| format!("{}{text}", " ".repeat(indent))));
        lines
    }
}

fn sum(columns: &[(&str, Set)], widths: &[usize], of: Set) -> usize {
    columns.iter().zip(widths).filter(|((_, set), _)| *set == of).map(|(_, width)| *width).sum()
}

/// Takes `excess` from the names, but what they need to be told apart.
fn narrow(columns: &[(&str, Set)], widths: &mut [usize], mut excess: usize) {
    const LEAST: usize = 12;
    for (width, _) in widths.iter_mut().zip(columns).filter(|(_, (_, set))| *set == Set::Name) {
        let cut = excess.min(width.saturating_sub(LEAST));
        *width -= cut;
        excess -= cut;
    }
}

/// One line, whatever others wrote.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn columns_of(text: &str) -> usize {
    text.chars().map(wide).sum()
}

fn wide(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// The beginning of `text`, and what more of its end there is room for.
fn middle_cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if columns_of(&text) <= width {
        return text;
    }
    let room = width.saturating_sub(1);
    let front = taken(text.chars(), room / 3);
    let back: String = taken(text.chars().rev(), room - columns_of(&front));
    front.chars().chain(['…']).chain(back.chars().rev()).collect()
}

/// The beginning of `text`, of one line and no wider than `width` columns.
pub(crate) fn end_cut(text: &str, width: usize) -> String {
    let text = plain(text);
    if columns_of(&text) <= width {
        return text;
    }
    taken(text.chars(), width.saturating_sub(1)) + "…"
}

/// As many characters as there is room for.
fn taken(characters: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    characters
        .take_while(|character| {
            used += wide(*character);
            used <= room
        })
        .collect()
}

/// `text` in lines of at most so many columns, broken between words where that can be.
pub(crate) fn broken(text: &str, width: usize) -> Vec<String> {
    // A name is one word, whatever hyphens it has.
    let options = Options::new(width.max(2)).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(plain(text).trim(), options).into_iter().map(Cow::into_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[(&str, Set)] = &[("NAME", Set::Name), ("N", Set::Right), ("NOTE", Set::Text)];
    const NOTE: &str = "a rather long note about it, of no use to anybody";

    fn rows() -> Vec<Vec<String>> {
        let row = |name: &str, number: &str, note: &str| vec![name.to_owned(), number.to_owned(), note.to_owned()];
        vec![row("namespace/repository-of-the-team", "7", NOTE), row("a/b", "12", "")]
    }

    #[test]
    fn what_fits_is_left_as_it_is_and_so_is_all_that_nobody_looks_at() {
        for width in [Some(100), None] {
            let lines = table(COLUMNS, &rows(), width);
            assert_eq!(lines[0], "NAME                               N  NOTE");
            assert_eq!(lines[1], format!("namespace/repository-of-the-team   7  {NOTE}"));
            assert_eq!(lines[2], "a/b                               12");
        }
        let long = vec![vec!["x".repeat(500), "1".to_owned(), NOTE.repeat(9)]];
        assert!(table(COLUMNS, &long, None)[1].ends_with(&NOTE.repeat(9)));
    }

    #[test]
    fn text_goes_on_beside_names_and_nothing_of_it_is_lost() {
        let lines = table(COLUMNS, &rows(), Some(72));
        assert_eq!(lines[1], "namespace/repository-of-the-team   7  a rather long note about it, of no");
        assert_eq!(lines[2], "                                      use to anybody");
        assert_eq!(lines[3], "a/b                               12");
    }

    #[test]
    fn where_it_is_narrow_text_goes_below_and_names_keep_their_ends() {
        let lines = table(COLUMNS, &rows(), Some(40));
        assert_eq!(lines[0], "NAME                               N");
        assert_eq!(lines[1], "namespace/repository-of-the-team   7");
        assert_eq!(lines[2], "    a rather long note about it, of no");
        assert_eq!(lines[3], "    use to anybody");
        let lines = table(COLUMNS, &rows(), Some(28));
        assert_eq!(lines[1], "namespa…tory-of-the-team   7");
        assert!(lines.iter().all(|line| line.width() <= 28), "{lines:#?}");
    }

    #[test]
    fn one_long_name_leaves_the_others_their_notes() {
        let mut rows = rows();
        rows.push(vec![format!("{}/the-end", "long-".repeat(40)), "1".to_owned(), String::new()]);
        let lines = table(COLUMNS, &rows, Some(80));
        assert!(lines[1].starts_with("namespace/repository-of-the-team") && lines[1].contains("a rather long note"));
        assert!(lines.last().unwrap().contains("/the-end "), "{lines:#?}");
        assert!(lines.iter().all(|line| line.width() <= 80), "{lines:#?}");
    }

    #[test]
    fn a_table_without_text_cuts_names_alone() {
        let rows = [vec!["a-name-that-is-too-long".to_owned(), "1".to_owned()]];
        assert_eq!(table(&COLUMNS[..2], &rows, Some(18))[1], "a-na…s-too-long  1");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb"), "a [31m b");
        assert_eq!(broken("登録が移動します", 6), ["登録が", "移動し", "ます"]);
        assert_eq!(middle_cut("登録が移動します", 9), "登…します");
    }
}
