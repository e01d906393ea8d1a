//! The certificate with which this replica answers, taken up from the Secret whenever it has another one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kube::Client;
use pac_tls::Served;
use tracing::{info, warn};

use crate::secret::{Contents, Secrets};

/// How often the Secret is read.
const READ_EVERY: Duration = Duration::from_secs(10);
/// How often, while there is no certificate in it yet.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What this replica shows to whom connects.
#[derive(Debug, Default)]
pub(crate) struct InUse(pub(crate) Arc<Served>);

// === impl InUse ===

impl InUse {
    /// When the certificate expires, if there is one.
    pub(crate) fn expires(&self) -> Option<SystemTime> {
        self.0.expires()
    }

    /// Follows the Secret for as long as anybody waits for it.
    pub(crate) async fn follow(self: Arc<Self>, client: Client, namespace: String) {
        let secrets = Secrets::new(client, &namespace);
        let mut problem = None;
        loop {
            let read = secrets.read().await.map_err(|error| error.to_string());
            let found = read.and_then(|secret| self.take_up(&secret.contents));
            // Once for each kind of trouble: it is looked at every few seconds.
            if let Err(why) = &found
                && problem.as_ref() != Some(why)
            {
                warn!("the webhook has no certificate to take up: {why}");
            }
            problem = found.err();
            let pause = if self.0.is_there() { READ_EVERY } else { LOOK_EVERY };
            tokio::time::sleep(pause).await;
        }
    }

    /// Uses what the Secret has from now on, if it is another one and can be used.
    fn take_up(&self, contents: &Contents) -> Result<(), String> {
        let taken = self.0.take_up(&contents.certificate, &contents.key);
        if taken.map_err(|why| format!("in its Secret {why}"))? {
            info!("the webhook has taken up a certificate");
        }
        Ok(())
    }
}
