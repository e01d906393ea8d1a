//! Whether anybody is admitted anywhere, and by whom they are started: by the settings.

use std::sync::atomic::Ordering;

use super::Index;

// === impl Index ===

impl Index {
    /// Whether the settings pause everything: then no run is admitted anywhere.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Pauses everything, or ends that pause; returns whether everything was paused before.
    pub fn set_paused(&self, paused: bool) -> bool {
        self.paused.swap(paused, Ordering::AcqRel)
    }

    /// Whether the settings have admitted runs handed to PAC's own queue, which then starts them.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Has admitted runs handed to PAC's own queue from now on, or started by this watcher; returns whether that is a change.
    /// Where no watcher of PAC's is at work, it stays with starting: nobody would start a run that is handed over.
    pub fn set_draining(&self, draining: bool) -> bool {
        let draining = draining && self.gate.is_some();
        self.draining.swap(draining, Ordering::AcqRel) != draining
    }
}
