//! Processes that end with whoever started them, and waiting.

use std::fs;
use std::process::{Command, ExitStatus, Stdio};
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
    /// None once the process is gone: its id may be another's then.
    heir: Option<Heir>,
}

/// A shell that outlives us, whatever ends us, and then asks a process to end: one that a test started which is killed, say by Ctrl-C.
#[derive(Debug)]
struct Heir(std::process::Child);

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
        Self { name, end_signal: "TERM", process, heir: None }.ended_by("TERM")
    }

    /// Has it asked to end by `signal` (as `kill` names it) rather than by SIGTERM.
    ///
    /// # Errors
    ///
    /// If there is no `sh`.
    pub fn ended_by(mut self, signal: &'static str) -> Result<Self> {
        self.end_signal = signal;
        self.heir = Some(Heir::of(self.process.id(), signal)?);
        Ok(self)
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
        let status = self.process.try_wait()?;
        if status.is_some() {
            self.heir = None;
        }
        Ok(status)
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
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(20));
        }
        self.heir = None;
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
        // Stopped, it starts no more that would be missed.
        send(&[self.process.id()], "STOP")?;
        self.signal_all("KILL")?;
        self.heir = None;
        self.process.wait()?;
        Ok(())
    }

    /// Sends `signal` (as `kill` names it) to it and to whatever it started, those in a session of their own too, as PostgreSQL's
    /// are.
    ///
    /// # Errors
    ///
    /// If there is no `kill`.
    pub fn signal_all(&self, signal: &str) -> Result<()> {
        signal_with_descendants(self.process.id(), signal)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn ask_to_end(&self) -> Result<()> {
        send(&[self.process.id()], self.end_signal)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Ok(None) = self.ended()
            && let Err(error) = self.stop()
        {
            eprintln!("warning: {error:#}");
        }
    }
}

// === impl Heir ===

impl Heir {
    /// Nothing is ever written into the pipe that it reads: it ends when we do.
    fn of(process: u32, signal: &str) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"read -r _; kill -s "$1" "$0""#, &process.to_string(), signal]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.process_group(0).spawn().map(Self).context("can't start sh")
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends `signal` to the process `id` and to whatever it started. For one that somebody else started, such as Patroni's servers.
pub(crate) fn signal_with_descendants(id: u32, signal: &str) -> Result<()> {
    let all: Vec<u32> = std::iter::once(id).chain(descendants(id)).collect();
    send(&all, signal)
}

/// Sends a signal, of which the standard library knows none but SIGKILL. A process that is gone meanwhile is no failure.
fn send(processes: &[u32], signal: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    kill.args(["-s", signal]).args(processes.iter().map(u32::to_string)).stderr(Stdio::null());
    kill.status().map(drop).context("can't run kill")
}

/// The processes that `ancestor` started, and those that they started.
fn descendants(ancestor: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = processes.filter_map(|process| process.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut found = vec![ancestor];
    let mut at = 0;
    while let Some(&of) = found.get(at) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(id, _)| *id));
        at += 1;
    }
    found.split_off(1)
}

/// Who started the process `id`, if it still is.
fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name is in brackets, and may have any characters in it.
    status.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
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

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};

    use super::*;

    /// Set where this test is the one that starts a process and is killed.
    const STARTER: &str = "PAC_TEST_OF_HEIRS";

    #[test]
    fn a_process_ends_with_its_starter_that_is_killed() {
        if std::env::var_os(STARTER).is_some() {
            let mut sleep = Command::new("sleep");
            sleep.arg("60").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = Child::spawn("sleep", sleep).unwrap();
            eprintln!("started {}", child.id());
            loop {
                std::thread::park();
            }
        }
        let mut starter = Command::new(std::env::current_exe().unwrap());
        starter.args(["--nocapture", "a_process_ends_with_its_starter"]).env(STARTER, "1");
        let mut starter = starter.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(starter.stderr.take().unwrap()).lines().map_while(Result::ok);
        let child: u32 = said.filter_map(|line| line.strip_prefix("started ")?.parse().ok()).next().unwrap();
        assert!(parent(child).is_some(), "it runs");
        starter.kill().unwrap();
        starter.wait().unwrap();
        // Its new parent may leave it a zombie.
        let is_gone = || fs::read_to_string(format!("/proc/{child}/stat")).map_or(true, |stat| stat.contains(") Z "));
        wait_until("it is gone", Duration::from_secs(10), || Ok(is_gone())).unwrap();
    }
}
