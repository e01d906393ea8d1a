//! What this machine has.

use std::collections::BTreeSet;
use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Where `program` is: on the path, or among those for the administrator.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    find_in(env::split_paths(&path).chain(["/usr/sbin".into()]), program)
}

/// Where `program` is: in the first of `folders` that has it.
pub(crate) fn find_in(folders: impl IntoIterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Whether this process may install packages, and must drop to another user for PostgreSQL.
pub fn is_root() -> bool {
    let asked = Command::new("id").arg("-u").output();
    asked.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A port nobody listens on at the moment, and that this process hasn't been given before: whoever has may be about to listen. None of
/// those that the system gives to outgoing connections: one of them might have it by the time it is used.
pub fn free_port() -> io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut tries = 0;
    loop {
        let port = 10_000 + (RandomState::new().build_hasher().finish() % 20_000) as u16;
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) if given.insert(port) => return Ok(port),
            Ok(_) => {}
            Err(error) if tries == 100 => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_given_twice() {
        // Of 20,000 ports a thousand drawn at random would hardly ever be all different.
        let given: BTreeSet<u16> = (0..1_000).map(|_| free_port().unwrap()).collect();
        assert_eq!(given.len(), 1_000);
    }
}
