//! A time of day of one's own, for a server that is to see its clock jump.
//!
//! libfaketime stands before the C library's functions, and reads from a file how far off the time is. A program that asks the system
//! itself, as those in Go do, isn't deceived.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::postgres::give_to_server;

/// The time of day of those who were started with its [environment](Clock::environment).
#[derive(Debug)]
pub struct Clock {
    library: PathBuf,
    folder: TempDir,
}

/// Where Debian has libfaketime, if it is there: in a folder that is named after the machine.
pub fn library() -> Option<PathBuf> {
    let machines = fs::read_dir("/usr/lib").ok()?.flatten();
    machines.map(|machine| machine.path().join("faketime/libfaketime.so.1")).find(|file| file.is_file())
}

// === impl Clock ===

impl Clock {
    /// A clock that goes right, until it is set.
    ///
    /// # Errors
    ///
    /// If there is no libfaketime on this machine.
    pub fn start() -> Result<Self> {
        let library = library().context("libfaketime is missing; install it with: apt-get install libfaketime")?;
        let folder = tempfile::Builder::new().prefix("pac-clock-").tempdir()?;
        give_to_server(folder.path())?;
        let clock = Self { library, folder };
        clock.set(0)?;
        Ok(clock)
    }

    /// Has it be so many seconds later than it is; within a second of that everybody sees it.
    ///
    /// # Errors
    ///
    /// If the file can't be written.
    pub fn set(&self, seconds: i64) -> Result<()> {
        // Whoever reads it finds the one or the other.
        let next = self.folder.path().join("next");
        fs::write(&next, format!("{seconds:+}\n"))?;
        Ok(fs::rename(next, self.file())?)
    }

    /// What has a program see this clock.
    pub fn environment(&self) -> Vec<(String, String)> {
        let text = |path: &Path| path.display().to_string();
        let variables = [
            ("LD_PRELOAD", text(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.file())),
            // What jumps is the time of day. The system's other clock doesn't, whatever happens.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}
