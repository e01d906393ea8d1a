//! A password that can't be printed by accident.

use std::fmt;

/// What every text shows in place of a secret.
pub(crate) const HIDDEN: &str = "********";

/// A password, kept to the byte.
///
/// It has no `Display`, and its `Debug` shows eight stars whatever its length. The one way to its text is
/// [`Secret::expose`], so that a search for that word finds every place where a password is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

// === impl Secret ===

impl Secret {
    /// Wraps a password.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password itself, for the one who connects with it.
    pub const fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_tells_neither_the_text_nor_its_length() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "********");
        assert_eq!(format!("{:?}", Secret::new("x".repeat(50))), "********");
    }

    #[test]
    fn expose_gives_it_back_to_the_byte() {
        assert_eq!(Secret::new(" pass\n").expose(), " pass\n");
    }
}
