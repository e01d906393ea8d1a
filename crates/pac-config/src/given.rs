//! A value as somebody gave it.

use crate::key::Key;
use crate::origin::Origin;

/// A value as it was found.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) bytes: Vec<u8>,
    pub(crate) origin: Origin,
}

/// The value if it is not empty. White space alone is a password, but nothing else.
pub(crate) fn present<'a>(key: &Key, given: Option<&'a Given>) -> Option<&'a Given> {
    given.filter(|given| if key.secret { !given.bytes.is_empty() } else { !given.bytes.trim_ascii().is_empty() })
}
