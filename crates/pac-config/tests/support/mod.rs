//! Shared by the tests: files in memory, and short ways to resolve settings.

#![allow(clippy::unwrap_used, reason = "a helper fails as its test does")]
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of it")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use pac_config::{Problems, ReadFile, Resolved, Sources, resolve};

/// The name of the ConfigMap in tests.
pub const CONFIG_MAP: &str = "pipelines-as-code/pipelines-as-code";

/// The name of the Secret in tests.
pub const SECRET: &str = "pipelines-as-code/pac-concurrency-secret";

/// A file system in memory. It holds `/tls/{ca,cert,key}.pem`, `/tls/empty.pem` and `/tls/locked.pem`.
#[derive(Clone)]
pub struct Files(BTreeMap<PathBuf, Vec<u8>>);

impl Default for Files {
    fn default() -> Self {
        let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
        let key = "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n";
        Self(BTreeMap::new())
            .with("/tls/ca.pem", certificate)
            .with("/tls/cert.pem", certificate)
            .with("/tls/key.pem", key)
            .with("/tls/empty.pem", "")
    }
}

impl Files {
    pub fn with(mut self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.0.insert(PathBuf::from(path), content.into());
        self
    }
}

impl ReadFile for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == Path::new("/tls/locked.pem") {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Resolves a ConfigMap alone.
pub fn from_config_map(data: &[(&str, &str)]) -> Result<Resolved, Problems> {
    resolve(&config_map(data), &Files::default())
}

/// Sources with a ConfigMap alone.
pub fn config_map(data: &[(&str, &str)]) -> Sources {
    Sources::new().with_config_map(CONFIG_MAP, data.iter().copied())
}

/// Resolves a local file of this content.
pub fn from_file(content: &str) -> Result<Resolved, Problems> {
    let files = Files::default().with("settings.yaml", content);
    resolve(&Sources::new().with_local_file(Path::new("settings.yaml"), &files), &files)
}

/// The effective value and the origin of a key, as the report shows them.
pub fn effective(resolved: &Resolved, key: &str) -> (String, String) {
    let row = resolved.effective.iter().find(|row| row.key.name == key).unwrap();
    (row.value.clone(), row.origin.to_string())
}

/// The warnings as lines.
pub fn warnings(resolved: &Resolved) -> Vec<String> {
    resolved.warnings.iter().map(ToString::to_string).collect()
}
