//! What commands print for people and pipes.

use std::io::{ErrorKind, Write, stdout};

use anyhow::{Context, Result};

/// Writes `text` to standard output. Whoever reads may stop at any time (`| head`), which is no fault of anybody's.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("could not print"),
        _ => Ok(()),
    }
}
