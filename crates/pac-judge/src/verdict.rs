//! What comes of a history: whether its answers can be explained, and the shortest part of it that shows that they can't.

use std::fmt;

use crate::history::{History, Record};
use crate::linearizability::{Call, Effort, check, under_way_at};
use crate::repository::{Contract, Judged, MadeTwice};
use crate::text;

/// How many records of a part people are shown.
const SHOWN: usize = 24;

/// Why no order of a repository's operations explains their answers.
#[derive(Debug, Clone)]
pub struct Breach {
    /// What can't be, in a sentence.
    pub what: String,
    /// The records that are enough to see it, in the order of their calls. Of those under way at its beginning, and of those still under
    /// way at its end, it isn't asked when, or whether, they took effect.
    pub part: Vec<Record>,
}

/// Judges `history`, whose commits of more than `large` runs may have two versions.
///
/// # Errors
///
/// The [`Breach`] that was found.
pub fn judge(history: &History, large: usize) -> Result<Effort, Breach> {
    let (contract, calls) = match Contract::of(history, large) {
        Ok(both) => both,
        Err(MadeTwice(one, other)) => {
            let part = if one == other { vec![one] } else { vec![one, other] };
            let what = "a commit made a version that was there before".to_owned();
            return Err(Breach { what, part: part.iter().map(|&number| history.records[number].clone()).collect() });
        }
    };
    check(&contract, [contract.beginning()], &calls).map_err(|unexplained| {
        let failed = &history.records[unexplained.call];
        let mut before: Vec<String> = unexplained.before.iter().map(ToString::to_string).collect();
        before.sort();
        before.truncate(3);
        let what = format!(
            "no order explains this answer: {}\nbefore it the repository can only have been at {}",
            text::line(failed),
            before.join("\nor at ")
        );
        Breach { what, part: shortest(&contract, &calls, unexplained.call, history) }
    })
}

/// The fewest records, up to the return of `failed`, that have no explanation whatever was there before them.
fn shortest(contract: &Contract, calls: &[Call<Judged>], failed: usize, history: &History) -> Vec<Record> {
    let end = calls[failed].returned.unwrap_or(u64::MAX);
    let mut beginnings: Vec<u64> = calls.iter().map(|call| call.called).filter(|called| *called < end).collect();
    beginnings.sort_unstable();
    let last = |length: usize| Part::from(beginnings[beginnings.len() - length], end, contract, calls);
    // A longer part has no more explanations than a shorter one: first by doubling, then by halves.
    let (mut too_short, mut length) = (0, 1);
    while length < beginnings.len() && last(length).is_explained(contract, calls) {
        (too_short, length) = (length, length * 2);
    }
    length = length.min(beginnings.len());
    let mut part = last(length);
    if part.is_explained(contract, calls) {
        part = Part::whole(end, calls);
    }
    while part.begin.is_some() && length - too_short > 1 {
        let middle = too_short + (length - too_short) / 2;
        let shorter = last(middle);
        if shorter.is_explained(contract, calls) {
            too_short = middle;
        } else {
            (length, part) = (middle, shorter);
        }
    }
    part.leave_out(contract, calls);
    part.calls.sort_by_key(|&call| calls[call].called);
    part.calls.into_iter().map(|call| history.records[call].clone()).collect()
}

/// Some of the calls of a history.
#[derive(Debug, Clone)]
struct Part {
    calls: Vec<usize>,
    /// When it begins, with whatever may be there; none: with nothing.
    begin: Option<u64>,
    end: u64,
}

// === impl Part ===

impl Part {
    fn whole(end: u64, calls: &[Call<Judged>]) -> Self {
        Self { calls: (0..calls.len()).filter(|&call| calls[call].called < end).collect(), begin: None, end }
    }

    /// Those called between `begin` and `end`, and those under way at `begin` that may have changed something since.
    fn from(begin: u64, end: u64, contract: &Contract, calls: &[Call<Judged>]) -> Self {
        let before = under_way_at(contract, [contract.beginning()], calls, begin);
        let before = before.into_iter().filter(|&call| !calls[call].operation.operation.only_looked());
        let within = (0..calls.len()).filter(|&call| (begin..end).contains(&calls[call].called));
        Self { calls: before.chain(within).collect(), begin: Some(begin), end }
    }

    /// Whether there is an explanation. Of those that were called before it, or return after it, it isn't asked whether they took effect
    /// in it.
    fn is_explained(&self, contract: &Contract, calls: &[Call<Judged>]) -> bool {
        let asked = self.calls.iter().map(|&call| {
            let Call { called, returned, operation } = calls[call].clone();
            let is_within = self.begin.is_none_or(|begin| begin <= called);
            Call { called, returned: returned.filter(|returned| is_within && *returned <= self.end), operation }
        });
        let initial = if self.begin.is_some() { contract.anything() } else { contract.beginning() };
        check(contract, [initial], &asked.collect::<Vec<_>>()).is_ok()
    }

    /// Leaves out, one by one, those that only looked and that aren't needed: without them a history has no fewer explanations.
    fn leave_out(&mut self, contract: &Contract, calls: &[Call<Judged>]) {
        let mut at = 0;
        while at < self.calls.len() {
            let call = self.calls[at];
            if calls[call].operation.operation.only_looked() {
                self.calls.remove(at);
                if !self.is_explained(contract, calls) {
                    continue;
                }
                self.calls.insert(at, call);
            }
            at += 1;
        }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.what)?;
        writeln!(f, "the shortest part that has no explanation, whatever was there before it:")?;
        // It is long where a call was: all that began during it may belong to it.
        let left_out = self.part.len().saturating_sub(SHOWN);
        if left_out > 0 {
            writeln!(f, "  … {left_out} before these")?;
        }
        self.part[left_out..].iter().try_for_each(|record| writeln!(f, "  {}", text::line(record)))
    }
}
