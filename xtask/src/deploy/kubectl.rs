//! kubectl, which knows how to reach the cluster and who we are there.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

const INSTALL: &str = "can't run kubectl; install it";

/// Runs it where everybody sees what it says.
pub(super) fn kubectl(arguments: &[&str], input: &str) -> Result<ExitStatus> {
    eprintln!("$ kubectl {}", arguments.join(" "));
    let mut process = Command::new("kubectl").args(arguments).stdin(Stdio::piped()).spawn().context(INSTALL)?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin.write_all(input.as_bytes()).context("kubectl ended before it had read everything")?;
    }
    Ok(process.wait()?)
}

/// The same; it must succeed.
pub(super) fn run(arguments: &[&str], input: &str) -> Result<()> {
    succeed(&format!("kubectl {}", arguments[0]), kubectl(arguments, input)?)
}

pub(super) fn succeed(what: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { bail!("{what} failed ({status})") }
}

/// Whether the API server would take it, without a word where it would.
pub(super) fn rehearse(arguments: &[&str], input: &str) -> Result<bool> {
    let mut command = Command::new("kubectl");
    command.args(arguments).arg("--dry-run=server").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut process = command.spawn().context(INSTALL)?;
    if let Some(mut stdin) = process.stdin.take() {
        stdin.write_all(input.as_bytes()).context("kubectl ended before it had read everything")?;
    }
    Ok(process.wait()?.success())
}

/// What it prints, and how it ended.
pub(super) fn ask(arguments: &[&str]) -> Result<(Vec<u8>, ExitStatus)> {
    let output = Command::new("kubectl").args(arguments).stderr(Stdio::inherit()).output().context(INSTALL)?;
    Ok((output.stdout, output.status))
}

/// Those of these objects (`kind/name`) that are there.
pub(super) fn get(objects: &[String], namespace: &str) -> Result<Vec<Value>> {
    let arguments: Vec<&str> = objects.iter().map(String::as_str).collect();
    let form = ["--namespace", namespace, "--ignore-not-found", "--output=json"];
    let (said, status) = ask(&[&["get"], &arguments[..], &form].concat())?;
    if !status.success() {
        bail!(
            "nothing was done: kubectl could not say what the cluster has, in {namespace} and beside it, of {} ({status})",
            objects.join(", ")
        );
    }
    if said.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut found: Value = serde_json::from_slice(&said).context("kubectl's answer can't be read")?;
    Ok(match found["items"].take() {
        Value::Array(items) => items,
        // It is alone.
        _ => vec![found],
    })
}
