//! kubectl's templates of JSONPath: text with paths in braces, as `-o jsonpath=` and `--sort-by` take them.
//!
//! A path is put into the words of RFC 9535, which jsonpath-rust knows: `.metadata.labels.a\.b` becomes
//! `$['metadata']['labels']['a.b']`. What is in brackets means the same in both, but for names in filters. Braces, `range` and what
//! is printed are kubectl's: values of a path with a space between them, text bare, all else as JSON, nothing for what isn't there,
//! and no line end that wasn't asked for.

use jsonpath_rust::parser::model::JpQuery;
use jsonpath_rust::parser::parse_json_path;
use jsonpath_rust::query::js_path_process;
use serde_json::Value;

/// A path, and what it was read from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    text: String,
    query: JpQuery,
}

/// Text with paths in it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Values(Path),
    /// The parts, for each value of the path.
    Range(Path, Vec<Part>),
}

/// What is in a pair of braces.
enum Action {
    Part(Part),
    Range(Path),
    End,
}

// === impl Path ===

impl Path {
    /// `.a.b`, as it stands in braces.
    fn read(text: &str) -> Result<Self, String> {
        let query =
            parse_json_path(&standard(text)).map_err(|_| format!("{text:?} is no path of kubectl's JSONPath"))?;
        Ok(Self { text: text.to_owned(), query })
    }

    /// The same without its braces or its first dot, as kubectl takes it where there is a path and nothing else.
    pub(crate) fn read_loosely(text: &str) -> Result<Self, String> {
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text).trim();
        match inner.chars().next() {
            None => Err("a path like .waiting is expected".to_owned()),
            Some('.' | '[' | '$' | '@') => Self::read(inner),
            Some(_) => Self::read(&format!(".{inner}")),
        }
    }

    /// What is at this path of `value`; nothing if it isn't there.
    pub(crate) fn values<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let found = js_path_process(&self.query, value).unwrap_or_default();
        found.into_iter().map(|found| found.val()).collect()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

// === impl Template ===

impl Template {
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        if !text.contains('{') {
            return Err(format!("{text:?} has no path in braces; is {{{text}}} meant?"));
        }
        let mut rest = text;
        let parts = parts(&mut rest, false)?;
        Ok(Self(parts))
    }

    /// What it makes of `value`.
    pub(crate) fn print(&self, value: &Value) -> String {
        let mut text = String::new();
        print(&self.0, value, &mut text);
        text
    }
}

fn print(parts: &[Part], value: &Value, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Values(path) => {
                let values: Vec<String> = path.values(value).into_iter().map(bare).collect();
                text.push_str(&values.join(" "));
            }
            Part::Range(path, parts) => {
                for value in path.values(value) {
                    print(parts, value, text);
                }
            }
        }
    }
}

fn bare(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The parts up to the end, or up to that of the range they are in.
fn parts(rest: &mut &str, in_range: bool) -> Result<Vec<Part>, String> {
    let mut found = Vec::new();
    loop {
        let Some(start) = rest.find('{') else {
            if in_range {
                return Err("a {range …} has no {end}".to_owned());
            }
            found.extend((!rest.is_empty()).then(|| Part::Text((*rest).to_owned())));
            *rest = "";
            return Ok(found);
        };
        found.extend((start > 0).then(|| Part::Text(rest[..start].to_owned())));
        let end = closing(&rest[start..]).ok_or_else(|| format!("{:?} is not closed", &rest[start..]))?;
        let inner = rest[start + 1..start + end].trim();
        *rest = &rest[start + end + 1..];
        match action(inner)? {
            Action::Part(part) => found.push(part),
            Action::Range(path) => found.push(Part::Range(path, parts(rest, true)?)),
            Action::End if in_range => return Ok(found),
            Action::End => return Err("an {end} ends no {range …}".to_owned()),
        }
    }
}

/// Where the brace that opens `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match (character, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            (_, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => quote = Some(character),
            ('}', None) => return Some(at),
            _ => {}
        }
    }
    None
}

fn action(inner: &str) -> Result<Action, String> {
    if inner == "end" {
        return Ok(Action::End);
    }
    if let Some(path) = inner.strip_prefix("range").filter(|path| path.starts_with(char::is_whitespace)) {
        return Path::read(path.trim()).map(Action::Range);
    }
    match inner.chars().next() {
        Some(quote @ ('"' | '\'')) => literal(inner, quote).map(|text| Action::Part(Part::Text(text))),
        Some('.' | '[' | '$' | '@') => Path::read(inner).map(|path| Action::Part(Part::Values(path))),
        _ => Err(format!("{{{inner}}} is not supported: a path like .a.b, range, end, or text in quotes is")),
    }
}

/// What is in quotes: `\n`, `\t`, `\r`, and a backslash before what stands for itself.
fn literal(inner: &str, quote: char) -> Result<String, String> {
    let content = inner[1..].strip_suffix(quote).ok_or_else(|| format!("{inner} is not one text in quotes"))?;
    let mut text = String::new();
    let mut characters = content.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(other) => other,
                None => return Err(format!("{inner} is not one text in quotes")),
            },
            other if other == quote => return Err(format!("{inner} is not one text in quotes")),
            other => other,
        });
    }
    Ok(text)
}

/// kubectl's path in RFC 9535's words.
fn standard(path: &str) -> String {
    let rooted = path.strip_prefix(['$', '@']).unwrap_or(path);
    let mut standard = "$".to_owned();
    let mut characters = rooted.chars().peekable();
    let mut quote = None;
    while let Some(character) = characters.next() {
        match character {
            _ if quote.is_some() => {
                standard.push(character);
                if quote == Some(character) {
                    quote = None;
                }
            }
            '"' | '\'' => {
                quote = Some(character);
                standard.push(character);
            }
            '.' => {
                if characters.next_if_eq(&'.').is_some() {
                    standard.push_str("..");
                }
                let mut name = String::new();
                while let Some(next) = characters.next_if(|next| !" \t.[](){}=!<>&|,*'\"".contains(*next)) {
                    name.push(if next == '\\' { characters.next().unwrap_or('\\') } else { next });
                }
                let is_name = !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit());
                match is_name {
                    true => standard.push_str(&format!("[{}]", quoted(&name))),
                    // `.*`, or a fraction in a filter.
                    false if standard.ends_with("..") => standard.push_str(&name),
                    // `.[0]` is `[0]`, and a dot alone what one is at.
                    false if matches!(characters.peek(), Some('[') | None) => {}
                    false => standard.push_str(&format!(".{name}")),
                }
            }
            other => standard.push(other),
        }
    }
    standard
}

/// A name as RFC 9535 writes it.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(template: &str) -> Result<String, String> {
        let value = json!({
            "items": [
                {"name": "a", "n": 1, "ok": true, "labels": {"x.y/z": "one", "with-hyphen": "two"}, "list": [1, 2]},
                {"name": "b", "n": 12, "ok": false, "labels": {"x.y/z": "three"}, "none": null},
            ],
            "text": "it's {here}",
        });
        Template::read(template).map(|template| template.print(&value))
    }

    /// As kubectl prints them; compared with kubectl 1.32 by `kubectl_says_the_same` (pac/tests/queue_flags.rs).
    #[test]
    fn templates_print_what_kubectl_prints() {
        for (template, printed) in [
            ("{.text}", "it's {here}"),
            ("{$.text}{@.text}", "it's {here}it's {here}"),
            ("{.items[*].name}", "a b"),
            ("{.items[0].n} of {.items[-1:].n}", "1 of 12"),
            ("{ .items[0:2].name }\n", "a b\n"),
            ("{.items[0,1].name}", "a b"),
            ("{.items[0].list}", "[1,2]"),
            ("{.items[0]['name','n']}", "a 1"),
            ("{..name}", "a b"),
            ("{.items[*].labels.x\\.y/z}", "one three"),
            ("{.items[*].labels.with-hyphen}", "two"),
            ("{.items[?(@.n>1.5)].name}", "b"),
            ("{.items[?(@.name==\"a\")].ok}", "true"),
            ("{.items[?(@.labels.with-hyphen)].name}", "a"),
            ("{.items[?(@.ok==false)].name}", "b"),
            ("{range .items[*]}{.name}{\"\\t\"}{.n}{'\\n'}{end}", "a\t1\nb\t12\n"),
            ("{range .items[*]}[{range .list[*]}<{@}>{end}]{end}", "[<1><2>][]"),
            ("{.missing}{.items[9].name}", ""),
        ] {
            assert_eq!(made(template).as_deref(), Ok(printed), "{template}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_and_said() {
        for (template, part) in [
            (".text", "is {.text} meant?"),
            ("{.text", "not closed"),
            ("{.items[}", "no path"),
            ("{range .items[*]}{.name}", "no {end}"),
            ("{end}", "ends no {range"),
            ("{if .x}", "is not supported"),
            ("{}", "is not supported"),
            ("{\"a\" \"b\"}", "not one text"),
            ("{.items[?(@.name=~\"a\")]}", "no path"),
        ] {
            let refused = made(template).unwrap_err();
            assert!(refused.contains(part), "{template}: {refused}");
        }
    }

    #[test]
    fn a_path_alone_may_go_without_braces_and_dot() {
        let value = json!({"a": {"b": 7}});
        for text in ["a.b", ".a.b", "{.a.b}", "$.a.b"] {
            assert_eq!(Path::read_loosely(text).unwrap().values(&value), [&json!(7)], "{text}");
        }
        assert!(Path::read_loosely("").is_err() && Path::read_loosely("a[").is_err());
    }
}
