//! Processes that end with whoever started them, and waiting.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

/// How long a process has to end by itself once asked.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is asked to end, then made to, when this is dropped. By its id, never by name.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    process: std::process::Child,
}

// === impl Child ===

impl Child {
    /// Starts `command`, in a group of its own, so that Ctrl-C reaches it through us alone.
    pub(crate) fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let process = command.process_group(0).spawn().with_context(|| format!("can't start {name}"))?;
        Ok(Self { name, process })
    }

    /// What it writes to standard output, if that is piped. Once.
    pub(crate) fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.process.stdout.take()
    }

    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Asks it to end and waits; says how it ended.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.ask_to_end()?;
        let until = Instant::now() + GRACE;
        while Instant::now() < until {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(20));
        }
        self.process.kill()?;
        self.process.wait()?;
        bail!("{} did not end within {} s of being asked to", self.name, GRACE.as_secs())
    }

    fn ask_to_end(&self) -> io::Result<()> {
        // The standard library only knows SIGKILL.
        Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().map(drop)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait()
            && let Err(error) = self.stop()
        {
            eprintln!("warning: {error:#}");
        }
    }
}

/// Set by Ctrl-C and SIGTERM.
pub(crate) fn interrupted() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Whether Ctrl-C was pressed.
pub(crate) fn is_set(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// Asks `condition` again and again until it holds; an error after `patience`.
pub(crate) fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + patience;
    while !condition()? {
        if Instant::now() > until {
            bail!("waited {} s in vain until {what}", patience.as_secs());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
