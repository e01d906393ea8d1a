//! What all seeds so far amount to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use pac_sim::Report;

/// See the [module](self).
pub(crate) struct Tally {
    began: Instant,
    seeds: u64,
    faults: BTreeMap<String, usize>,
    doings: BTreeMap<String, usize>,
    runs: usize,
    started: usize,
    commits: usize,
    versions: usize,
    passed: Duration,
    lines: usize,
    slowest_calm: Duration,
}

// === impl Tally ===

impl Tally {
    /// Of no seeds yet.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            seeds: 0,
            faults: BTreeMap::new(),
            doings: BTreeMap::new(),
            runs: 0,
            started: 0,
            commits: 0,
            versions: 0,
            passed: Duration::ZERO,
            lines: 0,
            slowest_calm: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        for (counts, all) in [(&report.faults, &mut self.faults), (&report.doings, &mut self.doings)] {
            counts.iter().for_each(|(what, count)| *all.entry(what.clone()).or_default() += count);
        }
        self.runs += report.runs.0;
        self.started += report.runs.1;
        self.commits += report.commits;
        self.versions += report.versions;
        self.passed += report.passed;
        self.lines += report.sum.0;
        self.slowest_calm = self.slowest_calm.max(report.calm);
    }

    /// A few words on how far it is.
    pub(crate) fn progress(&self) -> String {
        let (faults, seconds) = (self.faults(), self.began.elapsed().as_secs_f64());
        format!("{seconds:.0} s: {faults} faults, {:.0} a second; {} seeds", faults as f64 / seconds, self.seeds)
    }

    fn faults(&self) -> usize {
        self.faults.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (faults, seconds) = (self.faults(), self.began.elapsed().as_secs_f64());
        writeln!(
            f,
            "{} seeds, {:.1} virtual hours in {seconds:.0} s: {faults} faults, {:.0} a second",
            self.seeds,
            self.passed.as_secs_f64() / 3_600.0,
            faults as f64 / seconds,
        )?;
        writeln!(
            f,
            "{} runs, {} started from the queue; {} commits; {} versions of objects judged; {} lines of history; \
             all done {:.1} s after a storm at most",
            self.runs,
            self.started,
            self.commits,
            self.versions,
            self.lines,
            self.slowest_calm.as_secs_f64()
        )?;
        for (heading, counts) in [("faults", &self.faults), ("users and operators", &self.doings)] {
            writeln!(f, "{heading}:")?;
            counts.iter().try_for_each(|(what, count)| writeln!(f, "{count:>9} {what}"))?;
        }
        Ok(())
    }
}
