//! The same document in many cases, as one template: lines that all have, and lines under conditions.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::cases::{Case, Cases};

/// A line, and who has it.
#[derive(Debug, Clone)]
struct Line {
    text: String,
    cases: Vec<Case>,
}

/// The template of a document with these lines in each case; it is under a condition itself where not all have it.
pub(super) fn template(of_cases: &BTreeMap<Case, Vec<String>>) -> Result<String> {
    let mut lines: Vec<Line> = Vec::new();
    for (case, own) in of_cases {
        lines = laid_over(lines, *case, own);
    }
    for (case, own) in of_cases {
        let found = lines.iter().filter(|line| line.cases.contains(case)).map(|line| &line.text);
        ensure!(found.eq(own), "the merged lines aren't those of {case:?}");
    }
    let among = Cases::of(of_cases.keys().copied());
    let mut text = String::new();
    for group in lines.chunk_by(|one, next| one.cases == next.cases) {
        let body: String = group.iter().map(|line| format!("{}\n", line.text)).collect();
        text += &under(Cases::of(group[0].cases.iter().copied()).condition(&among)?, &body);
    }
    Ok(under(among.condition(&Cases::of(Cases::all()))?, &text))
}

fn under(condition: Option<String>, body: &str) -> String {
    match condition {
        Some(condition) => format!("{{{{- if {condition} }}}}\n{body}{{{{- end }}}}\n"),
        None => body.to_owned(),
    }
}

/// Puts one more case's lines in: those that are there already, in the longest common order, are shared.
fn laid_over(known: Vec<Line>, case: Case, own: &[String]) -> Vec<Line> {
    let common = longest_common(&known, own);
    let mut merged = Vec::with_capacity(known.len() + own.len());
    let mut at = 0;
    for (index, mut line) in known.into_iter().enumerate() {
        if let Some((_, place)) = common.iter().find(|(of_known, _)| *of_known == index) {
            merged.extend(own[at..*place].iter().map(|text| Line { text: text.clone(), cases: vec![case] }));
            line.cases.push(case);
            at = place + 1;
        }
        merged.push(line);
    }
    merged.extend(own[at..].iter().map(|text| Line { text: text.clone(), cases: vec![case] }));
    merged
}

/// Pairs of places of the same text, in order on both sides, as many as there can be.
fn longest_common(known: &[Line], own: &[String]) -> Vec<(usize, usize)> {
    let width = own.len() + 1;
    let mut lengths = vec![0_usize; (known.len() + 1) * width];
    for row in (0..known.len()).rev() {
        for column in (0..own.len()).rev() {
            lengths[row * width + column] = match known[row].text == own[column] {
                true => lengths[(row + 1) * width + column + 1] + 1,
                false => lengths[(row + 1) * width + column].max(lengths[row * width + column + 1]),
            };
        }
    }
    let (mut row, mut column, mut pairs) = (0, 0, Vec::new());
    while row < known.len() && column < own.len() {
        if known[row].text == own[column] {
            pairs.push((row, column));
            (row, column) = (row + 1, column + 1);
        } else if lengths[(row + 1) * width + column] >= lengths[row * width + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    pairs
}
