//! Things told apart by a digest, and shared: there are few of them, and many states of the system that have each.
//!
//! How versions and holders are called matters to nobody: only whether two are the same. So a thing has a *shape*, in which each is
//! known by where it occurs first, and a list of who they are. Two systems of the same shapes, with the same of them the same, go on
//! alike.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use pac_concurrency::{Holder, Snapshot, Version};

/// What only its being the same matters of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    Version(u64),
    Holder(u8),
}

/// The labels that have occurred so far, in that order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels(Vec<Label>);

/// The shape of something, as it is being fed.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) digest: DefaultHasher,
    labels: Labels,
}

/// Something that is told apart by what it holds.
#[derive(Clone)]
pub(crate) struct Known<T> {
    digest: u64,
    shape: u64,
    labels: Arc<[Label]>,
    value: Arc<T>,
}

/// The number of a holder, which is its name.
pub(crate) fn number_of(holder: &Holder) -> u8 {
    holder.as_str().parse().unwrap_or(u8::MAX)
}

// === impl Labels ===

impl Labels {
    /// Feeds `digest` with where `label` occurred first.
    pub(crate) fn feed(&mut self, label: Label, digest: &mut impl Hasher) {
        let at = self.0.iter().position(|known| *known == label).unwrap_or_else(|| {
            self.0.push(label);
            self.0.len() - 1
        });
        at.hash(digest);
    }

    /// Likewise with all of `known`.
    pub(crate) fn feed_all<T>(&mut self, known: &Known<T>, digest: &mut impl Hasher) {
        known.shape.hash(digest);
        known.labels.iter().for_each(|label| self.feed(*label, digest));
    }

    /// The holders among them.
    pub(crate) fn holders(&self) -> impl Iterator<Item = u8> {
        self.0.iter().filter_map(|label| match label {
            Label::Holder(number) => Some(*number),
            Label::Version(_) => None,
        })
    }
}

// === impl Label ===

impl From<Version> for Label {
    fn from(version: Version) -> Self {
        Self::Version(version.number())
    }
}

impl From<&Holder> for Label {
    fn from(holder: &Holder) -> Self {
        Self::Holder(number_of(holder))
    }
}

// === impl Shape ===

impl Shape {
    pub(crate) fn feed(&mut self, part: impl Hash) {
        part.hash(&mut self.digest);
    }

    pub(crate) fn feed_label(&mut self, label: impl Into<Label>) {
        self.labels.feed(label.into(), &mut self.digest);
    }

    pub(crate) fn feed_version(&mut self, version: Option<Version>) {
        // That a repository is unknown is no version like another.
        self.feed(version.map(|version| version == Version::NONE));
        version.filter(|version| *version != Version::NONE).into_iter().for_each(|version| self.feed_label(version));
    }

    pub(crate) fn feed_snapshot(&mut self, snapshot: &Snapshot) {
        self.feed_version(Some(snapshot.version));
        self.feed(snapshot.slots.len());
        for (run, slot) in &snapshot.slots {
            self.feed((run, slot.entry.order, slot.lapsed));
            self.feed_label(&slot.holder);
        }
        self.feed((&snapshot.waiting, snapshot.waiting_count, snapshot.whole));
    }
}

// === impl Known ===

impl<T> Known<T> {
    /// `value`, of which `feed` feeds the shape with all that tells it apart.
    pub(crate) fn new(value: T, feed: impl FnOnce(&T, &mut Shape)) -> Self {
        let mut shape = Shape::default();
        feed(&value, &mut shape);
        let Shape { digest, labels: Labels(labels) } = shape;
        let shape = digest.finish();
        let mut digest = DefaultHasher::new();
        (shape, &labels).hash(&mut digest);
        Self { digest: digest.finish(), shape, labels: labels.into(), value: Arc::new(value) }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }
}

impl Known<Snapshot> {
    pub(crate) fn snapshot(snapshot: Snapshot) -> Self {
        Self::new(snapshot, |snapshot, shape| shape.feed_snapshot(snapshot))
    }
}

impl<T> std::ops::Deref for Known<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> PartialEq for Known<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T> Eq for Known<T> {}

impl<T> Hash for Known<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl<T> fmt::Debug for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", self.digest)
    }
}
