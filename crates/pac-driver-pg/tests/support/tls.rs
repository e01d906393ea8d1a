//! Certificates of the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use pac_devservers::postgres::give_to_server;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
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
        let key = KeyPair::generate().unwrap();
        let key_pem = key.serialize_pem();
        let issuer = CertifiedIssuer::self_signed(parameters, key).unwrap();
        let folder = TempDir::new().unwrap();
        give_to_server(folder.path()).unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        fs::write(folder.path().join("ca.key"), key_pem).unwrap();
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
        options(&self.file("server.pem", &certificate.pem()), &self.file("server.key", &key.serialize_pem()))
    }

    /// The same with a certificate of X.509 version 1, which openssl makes of a request without extensions.
    pub(crate) fn server_of_version_1(&self, name: &str) -> [String; 3] {
        let (key, request, certificate) = (self.path("v1.key"), self.path("v1.csr"), self.path("v1.pem"));
        openssl(&["genpkey", "-algorithm", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", &key]);
        openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
        let (issuer, issuers_key) = (self.path("ca.pem"), self.path("ca.key"));
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &issuer,
            "-CAkey",
            &issuers_key,
            "-set_serial",
            "1",
            "-days",
            "2",
            "-out",
            &certificate,
        ]);
        self.given(&certificate, &key)
    }

    /// The same with a key of a kind, as arguments of `openssl genpkey -algorithm`.
    pub(crate) fn server_with_key_of(&self, name: &str, kind: &[&str]) -> [String; 3] {
        let (key, request, certificate) = (self.path("odd.key"), self.path("odd.csr"), self.path("odd.pem"));
        openssl(&[&["genpkey", "-out", &key, "-algorithm"], kind].concat());
        openssl(&["req", "-new", "-key", &key, "-subj", &format!("/CN={name}"), "-out", &request]);
        let extensions = self.file("odd.ext", &format!("subjectAltName=DNS:{name}\n"));
        let extensions = extensions.display().to_string();
        let (issuer, issuers_key) = (self.path("ca.pem"), self.path("ca.key"));
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &issuer,
            "-CAkey",
            &issuers_key,
            "-set_serial",
            "2",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
        self.given(&certificate, &key)
    }

    /// A `pg_hba.conf` of one line, beside which the superuser may come through the socket.
    pub(crate) fn hba_file(&self, line: &str) -> String {
        self.file("pg_hba.conf", &format!("local all all trust\n{line}\n")).display().to_string()
    }

    /// Files with certificate and key of a client called `name`.
    pub(crate) fn client_files(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let files = [(format!("{name}.pem"), certificate.pem()), (format!("{name}.key"), key.serialize_pem())];
        let [certificate, key] = files.map(|(file, content)| self.file(&file, &content).display().to_string());
        (certificate, key)
    }

    /// A key that no certificate is for.
    pub(crate) fn client_key(&self) -> String {
        KeyPair::generate().unwrap().serialize_pem()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// As a server's options, once it may read them.
    fn given(&self, certificate: &str, key: &str) -> [String; 3] {
        for file in [certificate, key] {
            give_to_server(Path::new(file)).unwrap();
        }
        fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
        options(Path::new(certificate), Path::new(key))
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

fn options(certificate: &Path, key: &Path) -> [String; 3] {
    let option = |option: &str, file: &Path| format!("{option}={}", file.display());
    ["ssl=on".to_owned(), option("ssl_cert_file", certificate), option("ssl_key_file", key)]
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("install it with: apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
