//! Processes that end with whoever started them, and waiting.

use std::io;
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a process has to end by itself once asked.
const GRACE: Duration = Duration::from_secs(10);

/// A process that is asked to end, then made to, when this is dropped. By its id, never by name.
#[derive(Debug)]
pub struct Child {
    name: &'static str,
    /// The signal it takes as the wish to end soon.
    end_signal: &'static str,
    process: std::process::Child,
}

// === impl Child ===

impl Child {
    /// Starts `command`, in a group of its own, so that Ctrl-C reaches it through us alone.
    ///
    /// # Errors
    ///
    /// If it can't be started.
    pub fn spawn(name: &'static str, mut command: Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let process = command.process_group(0).spawn().with_context(|| format!("can't start {name}"))?;
        Ok(Self { name, end_signal: "TERM", process })
    }

    /// Asks it to end by `signal` (as `kill` names it) rather than by SIGTERM.
    #[must_use]
    pub fn ended_by(mut self, signal: &'static str) -> Self {
        self.end_signal = signal;
        self
    }

    /// What it reads as standard input, if that is piped. Once.
    pub fn input(&mut self) -> Option<std::process::ChildStdin> {
        self.process.stdin.take()
    }

    /// What it writes to standard output, if that is piped. Once.
    pub fn output(&mut self) -> Option<std::process::ChildStdout> {
        self.process.stdout.take()
    }

    /// What it writes to standard error, if that is piped. Once.
    pub fn errors(&mut self) -> Option<std::process::ChildStderr> {
        self.process.stderr.take()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    ///
    /// If the system can't tell.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Asks it to end and waits; says how it ended.
    ///
    /// # Errors
    ///
    /// If it had to be killed.
    pub fn stop(&mut self) -> Result<ExitStatus> {
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

    /// Kills it and whatever it started, with SIGKILL.
    ///
    /// # Errors
    ///
    /// If there is no `kill`.
    pub fn kill_group(&mut self) -> Result<()> {
        Command::new("kill").args(["-KILL", "--", &format!("-{}", self.process.id())]).status()?;
        self.process.wait()?;
        Ok(())
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn ask_to_end(&self) -> io::Result<()> {
        // The standard library only knows SIGKILL.
        Command::new("kill").args(["-s", self.end_signal, &self.process.id().to_string()]).status().map(drop)
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

/// Asks `condition` again and again until it holds; an error after `patience`.
///
/// # Errors
///
/// What `condition` says, or that it took too long.
pub fn wait_until(what: &str, patience: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + patience;
    while !condition()? {
        if Instant::now() > until {
            bail!("waited {} s in vain until {what}", patience.as_secs());
        }
        sleep(Duration::from_millis(50));
    }
    Ok(())
}
