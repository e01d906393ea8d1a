//! The only door to the file system: tests put their own behind it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file read, in bytes. A password, a certificate or a settings file is far smaller; `/dev/zero` isn't.
const LARGEST: u64 = 1 << 20;

/// Reads the files that settings name.
pub trait ReadFile {
    /// The whole content of a file.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being read: missing, no permission, a folder, too large.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Whether the settings are those of another machine: what they name and isn't here may well be there.
    fn may_be_elsewhere(&self) -> bool {
        false
    }
}

/// The real file system. Files larger than 1 MiB are refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl ReadFile for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?.take(LARGEST + 1).read_to_end(&mut content)?;
        if content.len() as u64 > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB"));
        }
        Ok(content)
    }
}

/// Why a file couldn't be read, without the operating system's error number.
pub(crate) fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, b"secret\n").unwrap();
        assert_eq!(Disk.read(&path).unwrap(), b"secret\n");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = Disk.read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(reason(&error), "larger than 1 MiB");
    }

    #[test]
    fn a_missing_file_and_a_folder_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(reason(&Disk.read(&folder.path().join("none")).unwrap_err()), "no such file");
        assert_eq!(reason(&Disk.read(folder.path()).unwrap_err()), "it is a folder");
    }
}
