//! Certificates of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pac_devservers::postgres::give_to_server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority that signs servers' certificates.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

// === impl Authority ===

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        let folder = TempDir::new().unwrap();
        give_to_server(folder.path()).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    /// The file for postgresql-ssl-ca-file.
    pub(crate) fn ca_file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// Certificate and key of a server called `name`, as a server's options.
    pub(crate) fn server_options(&self, name: &str) -> [String; 3] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let option = |option: &str, file: &Path| format!("{option}={}", file.display());
        let certificate = self.file("server.pem", &certificate.pem());
        let key = self.file("server.key", &key.serialize_pem());
        ["ssl=on".to_owned(), option("ssl_cert_file", &certificate), option("ssl_key_file", &key)]
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, content).unwrap();
        // The server refuses a key that others can read.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        give_to_server(&file).unwrap();
        file
    }
}
