//! How answers are printed: as a table for people, as JSON or YAML for programs.

use std::io::{ErrorKind, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::Failure;
use crate::cli::queue::Output;

/// Columns where the width isn't known: wide enough for a log, narrow enough for a mail.
const WIDTH: usize = 120;

/// Lines for people, with some of them marked.
#[derive(Debug, Default)]
pub(super) struct Page(String);

// === impl Page ===

impl Page {
    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    pub(super) fn title(&mut self, text: impl AsRef<str>) {
        self.styled(Style::new().bold(), text.as_ref());
    }

    pub(super) fn warning(&mut self, text: impl AsRef<str>) {
        self.styled(AnsiColor::Yellow.on_default(), text.as_ref());
    }

    /// A table, its first line being titles.
    pub(super) fn table(&mut self, lines: Vec<String>) {
        for (number, line) in lines.into_iter().enumerate() {
            if number == 0 { self.title(line) } else { self.line(line) }
        }
    }

    fn styled(&mut self, style: Style, text: &str) {
        // A pipe or a file gets them without colours: the stream takes them out.
        self.line(format!("{style}{text}{style:#}"));
    }
}

/// The terminal's width in characters.
pub(super) fn width() -> usize {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0).max(40))
}

/// Prints `answer`; says whether anybody still reads.
pub(super) fn print<T: Serialize>(
    answer: &T,
    form: Output,
    again: bool,
    page: impl Fn(&T, usize) -> Page,
) -> Result<bool, Failure> {
    let stdout = std::io::stdout();
    let text = match form {
        Output::Table => {
            let clear = if again && stdout.is_terminal() { "\u{1b}[H\u{1b}[2J" } else { "" };
            format!("{clear}{}", page(answer, width()).0)
        }
        Output::Json if again => serde_json::to_string(answer).map_err(unprintable)? + "\n",
        Output::Json => serde_json::to_string_pretty(answer).map_err(unprintable)? + "\n",
        Output::Yaml => {
            let document = serde_yaml::to_string(answer).map_err(unprintable)?;
            if again { format!("---\n{document}") } else { document }
        }
    };
    let mut out = anstream::AutoStream::auto(stdout.lock());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(unprintable(error)),
    }
}

fn unprintable(error: impl std::error::Error) -> Failure {
    Failure::Unreachable(format!("could not print: {error}"))
}
