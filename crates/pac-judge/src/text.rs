//! A history as text, for people, and read again: a line for each operation.
//!
//! ```text
//! repository judge/repo-3
//! 1203 1590 c2 load 5 => v12 held 3@7/2 4@9/1 waits 5@11 6@12 of 4
//! 1600 1702 c2 commit v12 by 2 release 3 hold 4@9 => v13
//! 1650 - c1 commit v12 by 1 enqueue 7@8 => lost
//! ```
//!
//! First when it was called and when it returned, in nanoseconds from the history's beginning, `-` for an answer that was lost; then the
//! client, what it asked and what it was answered. `3@7/2` is run 3 at place 7 with a slot of client 2's.

use std::str::SplitWhitespace;

use anyhow::{Context, Result, bail};

use crate::history::{Change, Client, Entry, History, Operation, Outcome, Record, Run, Seen};
use crate::linearizability::Call;

/// What comes before a repository's records.
const REPOSITORY: &str = "repository ";
/// What is between question and answer.
const ANSWERED: &str = " => ";

/// All of `histories`, each under its repository's name.
pub fn write(histories: &[History]) -> String {
    let mut text = String::new();
    for history in histories {
        text += &format!("{REPOSITORY}{}\n", history.repository);
        let mut records: Vec<&Record> = history.records.iter().collect();
        records.sort_by_key(|record| record.call.called);
        for record in records {
            text += &line(record);
            text.push('\n');
        }
    }
    text
}

/// A record in a line.
pub fn line(record: &Record) -> String {
    let Record { client, call: Call { called, returned, operation } } = record;
    let returned = returned.map_or_else(|| "-".to_owned(), |returned| returned.to_string());
    let (asked, answered) = match operation {
        Operation::Load { window, seen } => {
            let window = window.map_or_else(|| "whole".to_owned(), |window| window.to_string());
            (format!("load {window}"), shown(seen))
        }
        Operation::Commit { expected, holder, change, outcome } => {
            let answered = match outcome {
                Outcome::Done(version) => format!("v{version}"),
                Outcome::Conflict => "conflict".to_owned(),
                Outcome::Lost => "lost".to_owned(),
            };
            (format!("commit v{expected} by {holder}{}", wanted(change)), answered)
        }
    };
    format!("{called} {returned} c{client} {asked}{ANSWERED}{answered}")
}

fn wanted(change: &Change) -> String {
    let runs = |runs: &[Run]| runs.iter().map(Run::to_string).collect::<Vec<_>>();
    let parts = [
        ("release", runs(&change.release)),
        ("give-back", runs(&change.give_back)),
        ("enqueue", places(&change.enqueue)),
        ("hold", places(&change.hold)),
    ];
    let parts = parts.into_iter().filter(|(_, of)| !of.is_empty());
    parts.map(|(what, of)| format!(" {what} {}", of.join(" "))).collect()
}

fn shown(seen: &Seen) -> String {
    let slots = seen.slots.iter().map(|(entry, holder)| format!("{}/{holder}", place(entry)));
    let mut words = vec![format!("v{} held", seen.version)];
    words.extend(slots);
    words.push("waits".to_owned());
    words.extend(places(&seen.waiting));
    // It follows from the rest, if all is well.
    let whole = if seen.whole { "whole" } else { "part" };
    words.push(format!("of {} {whole}", seen.waiting_count));
    words.join(" ")
}

fn places(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(place).collect()
}

fn place(entry: &Entry) -> String {
    format!("{}@{}", entry.run, entry.place)
}

/// The histories that `text` has. Lines that begin with `#` are for people.
///
/// # Errors
///
/// With the number of a line that is no record.
pub fn read(text: &str) -> Result<Vec<History>> {
    let mut histories: Vec<History> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(repository) = line.strip_prefix(REPOSITORY) {
            histories.push(History { repository: repository.to_owned(), records: Vec::new() });
            continue;
        }
        let history = histories.last_mut().with_context(|| format!("line {number}: no repository before it"))?;
        history.records.push(record(line).with_context(|| format!("line {number} is no record: {line}"))?);
    }
    Ok(histories)
}

fn record(line: &str) -> Result<Record> {
    let (asked, answered) = line.split_once(ANSWERED).context("no answer")?;
    let mut asked = asked.split_whitespace();
    let called = asked.next().context("no time")?.parse()?;
    let returned = Some(asked.next().context("no time")?).filter(|time| *time != "-");
    let returned = returned.map(str::parse).transpose()?;
    let client = asked.next().and_then(|client| client.strip_prefix('c')).context("no client")?.parse()?;
    let operation = match asked.next() {
        Some("load") => load(asked, answered)?,
        Some("commit") => commit(asked, answered)?,
        _ => bail!("neither load nor commit"),
    };
    Ok(Record { client, call: Call { called, returned, operation } })
}

fn load(mut asked: SplitWhitespace<'_>, answered: &str) -> Result<Operation> {
    let window = Some(asked.next().context("no window")?).filter(|window| *window != "whole");
    let window = window.map(str::parse).transpose()?;
    let mut answered = answered.split_whitespace();
    let version = version(answered.next())?;
    let (mut slots, mut waiting, mut of_waiting) = (Vec::new(), Vec::new(), false);
    while let Some(word) = answered.next() {
        match word {
            "held" => of_waiting = false,
            "waits" => of_waiting = true,
            "of" => {
                let waiting_count = answered.next().context("no count")?.parse()?;
                let whole = answered.next() == Some("whole");
                return Ok(Operation::Load { window, seen: Seen { version, slots, waiting, waiting_count, whole } });
            }
            _ if of_waiting => waiting.push(entry(word)?),
            _ => {
                let (place, holder) = word.split_once('/').context("no holder")?;
                slots.push((entry(place)?, holder.parse()?));
            }
        }
    }
    bail!("it doesn't say how many wait")
}

fn commit(mut asked: SplitWhitespace<'_>, answered: &str) -> Result<Operation> {
    let expected = version(asked.next())?;
    let holder: Client = asked.nth(1).context("no holder")?.parse()?;
    let (mut change, mut what) = (Change::default(), "");
    for word in asked {
        match (word, what) {
            ("release" | "give-back" | "enqueue" | "hold", _) => what = word,
            (run, "release") => change.release.push(run.parse::<Run>()?),
            (run, "give-back") => change.give_back.push(run.parse::<Run>()?),
            (place, "enqueue") => change.enqueue.push(entry(place)?),
            (place, "hold") => change.hold.push(entry(place)?),
            _ => bail!("{word} is no change"),
        }
    }
    let outcome = match answered.trim() {
        "conflict" => Outcome::Conflict,
        "lost" => Outcome::Lost,
        made => Outcome::Done(version(Some(made))?),
    };
    Ok(Operation::Commit { expected, holder, change, outcome })
}

fn version(word: Option<&str>) -> Result<u64> {
    Ok(word.and_then(|word| word.strip_prefix('v')).context("no version")?.parse()?)
}

fn entry(word: &str) -> Result<Entry> {
    let (run, place) = word.split_once('@').context("no place")?;
    Ok(Entry { run: run.parse()?, place: place.parse()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "repository judge/repo-3\n\
        1203 1590 c2 load 5 => v12 held 3@7/2 4@9/1 waits 5@11 6@12 of 4 part\n\
        1600 1702 c2 commit v12 by 2 release 3 give-back 5 hold 4@9 => v13\n\
        1650 - c1 commit v12 by 1 enqueue 7@8 7@9 => lost\n\
        1651 1652 c3 commit v0 by 3 => conflict\n\
        repository judge/repo-4\n\
        1 2 c0 load whole => v0 held waits of 0 whole\n";

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(write(&read(TEXT).unwrap()), TEXT);
    }

    #[test]
    fn what_is_no_record_is_named_with_its_line() {
        for wrong in ["1 2 c0 load whole => v0 held waits", "1 2 c0 commit v1 by 0 => done", "1 2 c0 forget => v1"] {
            let error = read(&format!("repository a/b\n{wrong}\n")).unwrap_err();
            assert!(error.to_string().starts_with("line 2 is no record"), "{error}");
        }
        assert!(read("1 2 c0 load whole => v0 held waits of 0 whole\n").is_err());
    }
}
