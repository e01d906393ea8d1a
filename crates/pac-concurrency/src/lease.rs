//! Who holds slots, and for how long that can be relied on.
//!
//! A lease belongs to a *holder*: one watcher process from the moment it began its term until it ended it, lost it or
//! died. All slots of a holder stand or fall with its one lease. A lapsed lease frees no slot (P5): it only says that
//! another watcher may claim the slots, which count all the while.

use std::fmt;
use std::sync::Arc;

use crate::key::KeyError;

/// One watcher process, for one term. Two terms of the same process are two holders, so that an old term can't renew a
/// newer one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder(Arc<str>);

/// What became of a lease one asked to renew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It now ends a full time to live from when the store saw the request.
    Renewed,
    /// The term is over, and stays so: begin a new one and look at everything again.
    Lost,
}

// === impl Holder ===

/// Longest identity kept in a holder's name, in bytes; a pod's name has at most 253.
const IDENTITY_MAX: usize = 253;

impl Holder {
    /// A new term of the watcher called `identity` (a pod's name, usually).
    ///
    /// Characters a name in a store should not have become `-`; what makes the holder unique is the term.
    pub fn new(identity: &str) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '-' };
        let identity: String = identity.chars().take(IDENTITY_MAX).map(plain).collect();
        Self(format!("{identity}:{}", uuid::Uuid::new_v4().simple()).into())
    }

    /// The holder a store has on record.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if text.is_empty() || text.len() > IDENTITY_MAX + 64 || !text.bytes().all(allowed) {
            return Err(KeyError::holder(text));
        }
        Ok(Self(text.into()))
    }

    /// `identity:term`, as stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Holder({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_terms_of_one_watcher_are_two_holders() {
        assert_ne!(Holder::new("pod-1"), Holder::new("pod-1"));
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let holder = Holder::new("pod/1 ä");
        assert_eq!(Holder::parse(holder.as_str()).unwrap(), holder);
        assert!(Holder::parse("").is_err());
        assert!(Holder::parse("a b").is_err());
    }
}
