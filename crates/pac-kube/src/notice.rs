//! What a run that waits says of its wait, in three annotations: for whoever may read the run, and nothing else.
//!
//! Nothing is decided by them: a Git repository may write them onto its runs, and is then overwritten.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::api::PipelineRun;
use crate::api::labels::{EXPECTED_START, PLACE, REASON};

/// The annotations that a notice is made of.
pub const NOTICE: [&str; 3] = [PLACE, REASON, EXPECTED_START];

/// What is to be read on a run that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Its place in the queue, from 1 on.
    pub place: Option<u32>,
    /// What it waits for, in a sentence.
    pub reason: String,
    /// When it is expected to start, in seconds since 1970.
    pub expected_start: Option<i64>,
}

/// A notice as it is remembered of every run there is, in little room: of the reason only a hash, and 0 for what isn't there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticeMark {
    place: u32,
    reason: u32,
    expected_start: i64,
}

// === impl Notice ===

impl Notice {
    /// The values of [`NOTICE`], in that order; none where the annotation isn't to be there.
    pub(crate) fn values(&self) -> [Option<String>; 3] {
        let time = self.expected_start.and_then(|at| Timestamp::from_second(at).ok());
        let time = time.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        [self.place.map(|place| place.to_string()), Some(self.reason.clone()), time]
    }

    /// It, as it is remembered.
    pub fn mark(&self) -> NoticeMark {
        NoticeMark::new(self.place, hash(&self.reason), self.expected_start)
    }
}

// === impl NoticeMark ===

impl NoticeMark {
    /// One of these parts; 0 tells that there is no reason.
    pub fn new(place: Option<u32>, reason: u32, expected_start: Option<i64>) -> Self {
        Self { place: place.unwrap_or_default(), reason, expected_start: expected_start.unwrap_or_default() }
    }

    /// The place; none, too, if what stands there is no number.
    pub fn place(self) -> Option<u32> {
        Some(self.place).filter(|place| *place != 0)
    }

    /// Tells the reason from others.
    pub fn reason(self) -> u32 {
        self.reason
    }

    /// When the run is expected to start, in seconds since 1970; none, too, if what stands there is no time.
    pub fn expected_start(self) -> Option<i64> {
        Some(self.expected_start).filter(|at| *at != 0)
    }

    /// What is to be read on `run`; none if nothing is.
    pub(crate) fn of(run: &PipelineRun) -> Option<Self> {
        let [place, reason, expected_start] = NOTICE.map(|annotation| run.annotations().get(annotation));
        place.or(reason).or(expected_start)?;
        let time = expected_start.and_then(|at| at.parse::<Timestamp>().ok());
        let place = place.and_then(|place| place.parse().ok());
        Some(Self::new(place, reason.map_or(0, |reason| hash(reason)), time.map(Timestamp::as_second)))
    }
}

fn hash(reason: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    reason.hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::convert::tests::run;

    #[test]
    fn what_is_written_is_what_is_read() {
        let reason = "it waits for one of 2 slots".to_owned();
        for (place, expected_start) in [(Some(7), Some(1_767_225_600)), (Some(7), None), (None, None)] {
            let notice = Notice { place, reason: reason.clone(), expected_start };
            let annotations: serde_json::Map<_, _> =
                NOTICE.into_iter().zip(notice.values()).map(|(name, value)| (name.to_owned(), json!(value))).collect();
            let run = run(json!({"metadata": {"annotations": annotations}}));
            assert_eq!(NoticeMark::of(&run), Some(notice.mark()));
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_a_notice_that_differs() {
        assert_eq!(NoticeMark::of(&run(json!({}))), None);
        let theirs = run(json!({"metadata": {"annotations": {PLACE: "first", EXPECTED_START: "soon"}}}));
        assert_eq!(NoticeMark::of(&theirs), Some(NoticeMark::new(None, 0, None)));
    }
}
