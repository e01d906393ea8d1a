//! `cargo xtask tools`: protoc and its include files.
//!
//! etcd-client compiles etcd's protocol definitions when it is built, and a fresh machine has neither the compiler nor the
//! definitions it includes. The crate protoc-bin-vendored carries both.

use std::env;

use anyhow::{Context, Result};

use crate::say;

/// The variables a build of etcd-client needs, unless they are set already.
pub(crate) fn build_variables() -> Result<Vec<(&'static str, String)>> {
    if env::var_os("PROTOC").is_some() {
        return Ok(Vec::new());
    }
    let compiler =
        protoc_bin_vendored::protoc_bin_path().context("no protoc for this machine; install one, set PROTOC")?;
    let includes = protoc_bin_vendored::include_path().context("no include files for protoc; set PROTOC_INCLUDE")?;
    Ok(vec![("PROTOC", compiler.display().to_string()), ("PROTOC_INCLUDE", includes.display().to_string())])
}

/// Prints them for a shell.
pub(crate) fn print_tools() -> Result<()> {
    for (name, value) in build_variables()? {
        say::print(&format!("export {name}='{}'\n", value.replace('\'', "'\\''")))?;
    }
    Ok(())
}
