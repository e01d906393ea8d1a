//! What commands print: answers to standard output, what went wrong to standard error.
//!
//! Whoever reads may stop at any time (`| head`), which is no fault of anybody's.

use std::io::{ErrorKind, Write};

/// Writes `text` to standard output; says whether anybody still reads. An error is one of the place it goes to, such as a
/// full disk.
pub fn print(text: &str) -> Result<bool, String> {
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(format!("could not print: {error}")),
    }
}

/// The same with a line, where nothing depends on who reads it.
pub fn line(text: impl AsRef<str>) -> Result<(), String> {
    print(&format!("{}\n", text.as_ref())).map(drop)
}

/// Says what went wrong. If that can't be said either, the exit code has to do.
pub fn error(why: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "error: {}", why.as_ref());
}

/// Says what somebody should know beside the answer.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(std::io::stderr(), "note: {}", text.as_ref());
}
