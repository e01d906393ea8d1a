//! Commands as people give them, and what they come to.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::World;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `pac-watcher` in this cluster, with nothing to be read.
pub(crate) fn command(world: &World, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pac-watcher"));
    command.env_remove("KUBECONFIG").env("PAC_WATCHER_KUBECONFIG", world.kubeconfig());
    command.args(arguments).stdin(Stdio::null());
    command
}

/// `pac-watcher queue`.
pub(crate) fn queue(world: &World, arguments: &[&str]) -> Command {
    command(world, &[&["queue"], arguments].concat())
}

pub(crate) fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// What `pac-watcher queue` says.
pub(crate) fn run(world: &World, arguments: &[&str]) -> Said {
    said(&mut queue(world, arguments))
}

/// The same as JSON.
pub(crate) fn json_of(world: &World, arguments: &[&str]) -> Value {
    let said = run(world, &[arguments, &["-o", "json"]].concat());
    assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
    serde_json::from_str(&said.out).unwrap()
}
