//! Tables that fit the terminal: what is too long is cut where the least is lost.

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    /// As wide as its widest entry.
    Left,
    /// The same, with numbers under each other.
    Right,
    /// Cut to what the others leave, if need be.
    Cut,
}

/// Least width a column that is cut keeps.
const CUT_TO: usize = 12;
const GAP: &str = "  ";

/// A table with these columns, no wider than `width` if that can be.
pub(super) fn table(columns: &[(&str, Set)], rows: &[Vec<String>], width: usize) -> Vec<String> {
    let mut widths: Vec<usize> = columns.iter().map(|(title, _)| title.chars().count()).collect();
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let gaps = GAP.len() * columns.len().saturating_sub(1);
    let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(width);
    // From the last to the first: names are worth more than notes.
    for (width, (_, set)) in widths.iter_mut().zip(columns).rev().filter(|(_, (_, set))| *set == Set::Cut) {
        debug_assert_eq!(*set, Set::Cut);
        let cut = excess.min(width.saturating_sub(CUT_TO));
        *width -= cut;
        excess -= cut;
    }
    let titles = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let lines = std::iter::once(&titles).chain(rows);
    lines.map(|row| line(columns, &widths, row)).collect()
}

fn line(columns: &[(&str, Set)], widths: &[usize], row: &[String]) -> String {
    let cells = columns.iter().zip(widths).zip(row).map(|(((_, set), width), text)| {
        let text = shortened(text, *width);
        match set {
            Set::Right => format!("{text:>width$}"),
            Set::Left | Set::Cut => format!("{text:<width$}"),
        }
    });
    cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
}

/// One line of at most so many characters, whatever others wrote.
pub(super) fn shortened(text: &str, width: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= width {
        return plain;
    }
    plain.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[(&str, Set)] = &[("NAME", Set::Cut), ("N", Set::Right), ("NOTE", Set::Cut)];

    fn rows() -> Vec<Vec<String>> {
        let row = |name: &str, number: &str, note: &str| vec![name.to_owned(), number.to_owned(), note.to_owned()];
        vec![row("namespace/repository", "7", "a rather long note about it"), row("a/b", "12", "")]
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let lines = table(COLUMNS, &rows(), 80);
        assert_eq!(lines[0], "NAME                   N  NOTE");
        assert_eq!(lines[1], "namespace/repository   7  a rather long note about it");
        assert_eq!(lines[2], "a/b                   12");
    }

    #[test]
    fn notes_are_cut_before_names_and_nothing_below_what_can_be_read() {
        let lines = table(COLUMNS, &rows(), 40);
        assert_eq!(lines[1], "namespace/repository   7  a rather long…");
        let lines = table(COLUMNS, &rows(), 10);
        assert_eq!(lines[1], "namespace/r…   7  a rather lo…");
    }

    #[test]
    fn what_others_wrote_does_nothing_to_the_terminal() {
        assert_eq!(shortened("a\u{1b}[31m\nb", 80), "a [31m b");
    }
}
