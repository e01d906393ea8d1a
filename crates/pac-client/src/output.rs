//! How answers are printed: as a table for people, as JSON or YAML for programs.

use std::io::IsTerminal;

use anstyle::{AnsiColor, Style};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::Failure;
use crate::args::{Form, Output};
use crate::say;
use crate::table::broken;
use crate::times::time;

/// Narrower terminals than this are taken to be so wide.
const NARROWEST: usize = 40;
/// What takes a terminal back to an empty one.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Lines for people, with some of them marked, for a terminal of `width` columns; none is a pipe or a file, of any width.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) width: Option<usize>,
    text: String,
}

/// Prints answers, again and again with `--watch`.
pub(crate) struct Printer {
    form: Output,
    again: bool,
    /// The last table, and when it was true.
    last: Option<(String, Timestamp)>,
    /// The trouble said last.
    said: Option<String>,
}

// === impl Page ===

impl Page {
    fn new(width: Option<usize>) -> Self {
        Self { width, text: String::new() }
    }

    /// Text for people, broken into lines.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) {
        self.styled(Style::new(), text.as_ref());
    }

    pub(crate) fn title(&mut self, text: impl AsRef<str>) {
        self.styled(Style::new().bold(), text.as_ref());
    }

    pub(crate) fn warning(&mut self, text: impl AsRef<str>) {
        self.styled(AnsiColor::Yellow.on_default(), text.as_ref());
    }

    /// A table, its first line being titles, under an empty line unless it comes first.
    pub(crate) fn table(&mut self, lines: Vec<String>) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        for (number, line) in lines.into_iter().enumerate() {
            let style = if number == 0 { Style::new().bold() } else { Style::new() };
            self.add(style, &line);
        }
    }

    fn styled(&mut self, style: Style, text: &str) {
        for line in broken(text, self.width.unwrap_or(usize::MAX)) {
            self.add(style, &line);
        }
    }

    fn add(&mut self, style: Style, line: &str) {
        // A pipe or a file gets them without colours: the stream takes them out.
        self.text.push_str(&format!("{style}{line}{style:#}\n"));
    }
}

// === impl Printer ===

impl Printer {
    pub(crate) fn new(form: &Form) -> Self {
        Self { form: form.output, again: form.watch, last: None, said: None }
    }

    /// Whether anything was answered yet.
    pub(crate) fn has_printed(&self) -> bool {
        self.last.is_some()
    }

    /// Prints `answer`; says whether anybody still reads.
    pub(crate) fn answer<T: Serialize>(&mut self, answer: &T, write: impl Fn(&mut Page, &T)) -> Result<bool, Failure> {
        let mut page = Page::new(width());
        write(&mut page, answer);
        self.said = None;
        let text = match self.form {
            Output::Table if self.redraws() => format!("{CLEAR}{}", page.text),
            Output::Table => page.text.clone(),
            Output::Json if self.again => serde_json::to_string(answer).map_err(unprintable)? + "\n",
            Output::Json => serde_json::to_string_pretty(answer).map_err(unprintable)? + "\n",
            Output::Yaml => {
                let document = serde_yaml::to_string(answer).map_err(unprintable)?;
                if self.again { format!("---\n{document}") } else { document }
            }
        };
        self.last = Some((page.text, Timestamp::now()));
        say::print(&text).map_err(Failure::Local)
    }

    /// Says that there is no answer now, and that it is asked for again; whether anybody still reads.
    pub(crate) fn trouble(&mut self, why: &str) -> Result<bool, Failure> {
        if self.redraws() {
            let mut page = Page::new(width());
            let since = self.last.as_ref().map(|(_, at)| format!(" What follows is of {}.", time(*at)));
            page.warning(format!("{why}; asked again every 2 s.{}", since.unwrap_or_default()));
            let last = self.last.as_ref().map_or("", |(text, _)| text);
            return say::print(&format!("{CLEAR}{}{last}", page.text)).map_err(Failure::Local);
        }
        if self.said.as_deref() != Some(why) {
            say::error(format!("{why}; asked again every 2 s"));
            self.said = Some(why.to_owned());
        }
        Ok(true)
    }

    fn redraws(&self) -> bool {
        self.again && self.form == Output::Table && std::io::stdout().is_terminal()
    }
}

/// The terminal's width in columns; none if standard output is no terminal.
fn width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(std::io::stdout());
    size.map(|(width, _)| usize::from(width.0).max(NARROWEST))
}

fn unprintable(error: impl std::error::Error) -> Failure {
    Failure::Local(format!("could not print: {error}"))
}
