//! How answers are printed: as a table for people, as names, JSON or YAML for programs.

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

/// What can be answered.
pub(crate) trait Shown: Serialize {
    /// Writes it for people.
    fn write(&self, page: &mut Page);

    /// What `-o name` prints, a line each.
    fn names(&self) -> Vec<String>;
}

/// Lines for people, with some of them marked, for a terminal of `width` columns; none is a pipe or a file, of any width.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) width: Option<usize>,
    /// Whether there may be more columns than people mostly want.
    pub(crate) wide: bool,
    headers: bool,
    text: String,
}

/// Prints answers, again and again with `--watch`.
pub(crate) struct Printer {
    form: Output,
    again: bool,
    headers: bool,
    /// The last table, and when it was true.
    last: Option<(String, Timestamp)>,
    /// The trouble said last.
    said: Option<String>,
}

// === impl Page ===

impl Page {
    fn new(wide: bool, headers: bool) -> Self {
        Self { width: width(), wide, headers, text: String::new() }
    }

    /// How many of `rows` rows are shown, of which people at a terminal mostly want `few`: where nobody looks, all are.
    pub(crate) fn rows(&self, rows: usize, few: usize) -> usize {
        if self.wide || self.width.is_none() { rows } else { rows.min(few) }
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
        for (number, line) in lines.into_iter().enumerate().skip(usize::from(!self.headers)) {
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
        Self { form: form.output.clone(), again: form.watch, headers: !form.no_headers, last: None, said: None }
    }

    /// Whether anything was answered yet.
    pub(crate) fn has_printed(&self) -> bool {
        self.last.is_some()
    }

    /// Whether people read it at a terminal.
    pub(crate) fn is_at_terminal(&self) -> bool {
        self.form.is_table() && std::io::stdout().is_terminal()
    }

    /// Prints `answer`; says whether anybody still reads.
    pub(crate) fn answer(&mut self, answer: &impl Shown) -> Result<bool, Failure> {
        let mut page = self.page();
        answer.write(&mut page);
        self.said = None;
        let text = match &self.form {
            Output::Table | Output::Wide if self.redraws() => format!("{CLEAR}{}", page.text),
            Output::Table | Output::Wide => page.text.clone(),
            Output::Name => answer.names().into_iter().map(|name| name + "\n").collect(),
            Output::JsonPath(template) => {
                let value = serde_json::to_value(answer).map_err(unprintable)?;
                // Whoever watches gets a line each time, whatever the template ends with.
                let line_end = if self.again { "\n" } else { "" };
                template.print(&value) + line_end
            }
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
            let mut page = self.page();
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

    fn page(&self) -> Page {
        Page::new(self.form == Output::Wide, self.headers)
    }

    fn redraws(&self) -> bool {
        self.again && self.is_at_terminal()
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
