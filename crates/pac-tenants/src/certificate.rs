//! The certificate of the port, taken up from its files whenever they have another one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pac_tls::Served;
use tracing::{info, warn};

use crate::TlsFiles;

/// How often the files are read: the kubelet replaces what it mounts, and tells nobody.
const READ_EVERY: Duration = Duration::from_secs(2);

/// What the port shows, as it is now.
#[derive(Debug, Clone)]
pub struct Certificate(pub(crate) Arc<Served>);

// === impl Certificate ===

impl Certificate {
    /// When it expires, if there is one.
    pub fn expires(&self) -> Option<SystemTime> {
        self.0.expires()
    }
}

/// Follows the files for as long as anybody waits for it.
pub(crate) async fn follow(served: Arc<Served>, files: TlsFiles) {
    let mut problem = None;
    loop {
        let (showing, read) = (Arc::clone(&served), files.clone());
        let taken = tokio::task::spawn_blocking(move || take_up(&showing, &read)).await;
        let taken = taken.unwrap_or_else(|error| Err(error.to_string()));
        match &taken {
            Ok(true) => info!("the port for tenants has taken up a certificate"),
            Ok(false) => {}
            // Once for each kind of trouble.
            Err(why) if problem.as_ref() == Some(why) => {}
            Err(why) => warn!("the port for tenants has no certificate to take up: {why}"),
        }
        problem = taken.err();
        tokio::time::sleep(READ_EVERY).await;
    }
}

fn take_up(served: &Served, files: &TlsFiles) -> Result<bool, String> {
    let read = |file: &std::path::Path| std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()));
    let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
    let taken = served.take_up(&certificate, &key);
    taken.map_err(|why| format!("{}, {}: {why}", files.certificate.display(), files.key.display()))
}
