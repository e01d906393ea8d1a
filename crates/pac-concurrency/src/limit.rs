//! How many runs of one repository may run at once.

use std::fmt;
use std::num::NonZeroU32;

/// A repository's effective limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Nobody is admitted: what the limit is can't be told (the Repository is missing, or its limit makes no sense).
    Unknown,
    /// At most this many.
    AtMost(NonZeroU32),
    /// As many as there are.
    Unlimited,
}

// === impl Limit ===

impl Limit {
    /// The limit of a Repository whose own `concurrency_limit` is `own` and whose global Repository says `global`.
    ///
    /// Unset falls back to the global one; unset there too, or 0, is unlimited. A number no limit can have holds the
    /// repository: admitting nobody is the one reading of it that breaks no promise.
    pub fn effective(own: Option<i64>, global: Option<i64>) -> Self {
        match own.or(global) {
            None | Some(0) => Self::Unlimited,
            Some(number) => match u32::try_from(number).ok().and_then(NonZeroU32::new) {
                Some(number) => Self::AtMost(number),
                None => Self::Unknown,
            },
        }
    }

    /// How many more may be admitted while `held` slots are taken.
    pub fn free(self, held: usize) -> usize {
        match self {
            Self::Unknown => 0,
            Self::AtMost(most) => (most.get() as usize).saturating_sub(held),
            Self::Unlimited => usize::MAX,
        }
    }

    /// Whether `slots` may be taken at once.
    pub fn fits(self, slots: usize) -> bool {
        match self {
            Self::Unknown => slots == 0,
            Self::AtMost(most) => slots <= most.get() as usize,
            Self::Unlimited => true,
        }
    }

    /// Whether there is a number to stay within.
    pub fn is_limited(self) -> bool {
        !matches!(self, Self::Unlimited)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("held"),
            Self::AtMost(most) => most.fmt(f),
            Self::Unlimited => f.write_str("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_most(number: u32) -> Limit {
        Limit::AtMost(NonZeroU32::new(number).unwrap())
    }

    #[test]
    fn its_own_limit_comes_before_the_global_one() {
        assert_eq!(Limit::effective(Some(2), Some(7)), at_most(2));
        assert_eq!(Limit::effective(None, Some(7)), at_most(7));
        assert_eq!(Limit::effective(Some(0), Some(7)), Limit::Unlimited);
        assert_eq!(Limit::effective(None, None), Limit::Unlimited);
    }

    #[test]
    fn a_number_no_limit_can_have_holds() {
        assert_eq!(Limit::effective(Some(-1), None), Limit::Unknown);
        assert_eq!(Limit::effective(Some(i64::MAX), None), Limit::Unknown);
    }

    #[test]
    fn free_never_goes_below_zero() {
        assert_eq!(at_most(2).free(5), 0);
        assert_eq!(at_most(2).free(1), 1);
        assert_eq!(Limit::Unknown.free(0), 0);
    }
}
