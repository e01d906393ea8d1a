//! What a change of settings needs in a watcher that runs.

/// What a change of settings needs. The greater includes the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettingsImpact {
    /// Nothing changed.
    None,
    /// What the watcher tells of itself: it applies at the next telling.
    Telling,
    /// Whether anybody is admitted: it applies at once.
    Admission,
    /// Limits and tunables: they apply in place.
    Tunables,
    /// The same store, reached in another way (user, password, TLS): connect anew; nothing is moved.
    Connection,
    /// Another store: fill and verify the new one, then switch.
    Driver,
    /// Turned on or off: start or stop admitting. `Settings::enabled` of the new settings says which.
    Switch,
}

// === impl SettingsImpact ===

impl SettingsImpact {
    pub(crate) const fn explanation(self) -> &'static str {
        match self {
            Self::None => "has no effect",
            Self::Telling | Self::Admission | Self::Tunables => "applies in place",
            Self::Connection => "connects anew to the same store",
            Self::Driver => "moves over to the new store",
            Self::Switch => "starts or stops the system",
        }
    }
}
