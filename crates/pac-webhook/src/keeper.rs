//! The leader's work: the Secret has a certificate that is fresh, and the configuration trusts who signed it.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use pac_kube::gate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::NAME;
use crate::renewal::{Lifetimes, Terms, next};
use crate::secret::{Failed, Secrets};

/// How often it is looked whether all is as it should be.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How soon after something couldn't be done.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps Secret and configuration while this watcher leads, until nobody waits for it any more.
pub async fn keep(client: Client, namespace: String, lifetimes: Lifetimes, mut leading: watch::Receiver<bool>) {
    let keeper = Keeper {
        secrets: Secrets::new(client.clone(), &namespace),
        configurations: Api::all(client),
        host: format!("{NAME}.{namespace}.svc"),
        lifetimes,
    };
    let mut problem = None;
    while leading.wait_for(|leading| *leading).await.is_ok() {
        let looked = keeper.look().await;
        let pause = match &looked {
            Ok(Looked::AllWell) => LOOK_EVERY,
            Ok(Looked::Changed) => Duration::ZERO,
            Err(_) => AGAIN,
        };
        if let Err(why) = &looked
            && problem.as_ref() != Some(why)
        {
            warn!("the webhook's certificate can't be kept, so that PAC's order writes may fail: {why}");
        }
        problem = looked.err();
        tokio::time::sleep(pause).await;
    }
}

struct Keeper {
    secrets: Secrets,
    configurations: Api<MutatingWebhookConfiguration>,
    host: String,
    lifetimes: Lifetimes,
}

/// What came of a look.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    AllWell,
    /// There may be a next step.
    Changed,
}

// === impl Keeper ===

impl Keeper {
    /// One step, if there is one to do.
    async fn look(&self) -> Result<Looked, Failed> {
        let found = self.secrets.read().await?;
        let trusted = self.trusted().await;
        let terms = Terms { host: self.host.clone(), lifetimes: self.lifetimes, now: SystemTime::now() };
        let trusts = |authority: &[u8]| trusted.as_ref().is_ok_and(|bundle| contains(bundle, authority));
        if !found.is_kept_by_others
            && let Some(contents) = next(&found.contents, &terms, trusts).map_err(|error| Failed::to_make(&error))?
        {
            self.secrets.write(&found, &contents).await?;
            info!("the webhook's certificate was renewed in Secret {NAME}");
            return Ok(Looked::Changed);
        }
        // Without it, who keeps the Secret keeps the configuration as well.
        let wanted = &found.contents.authorities;
        if wanted.is_empty() || trusted? == *wanted {
            return Ok(Looked::AllWell);
        }
        self.trust(wanted).await?;
        info!("{} trusts the authority in Secret {NAME} now", gate::GateKind::Webhook.object());
        Ok(Looked::Changed)
    }

    /// The configuration's CA bundle, as PEM.
    async fn trusted(&self) -> Result<Vec<u8>, Failed> {
        let configuration = self.configurations.get(gate::NAME).await.map_err(|error| failed(&error))?;
        let webhook = configuration.webhooks.into_iter().flatten().find(|webhook| webhook.name == gate::WEBHOOK);
        Ok(webhook.and_then(|webhook| webhook.client_config.ca_bundle).map(|bundle| bundle.0).unwrap_or_default())
    }

    async fn trust(&self, bundle: &[u8]) -> Result<(), Failed> {
        let operations = json!([
            { "op": "test", "path": "/webhooks/0/name", "value": gate::WEBHOOK },
            { "op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": STANDARD.encode(bundle) },
        ]);
        let patch = Patch::Json::<()>(serde_json::from_value(operations).unwrap_or_default());
        let patched = self.configurations.patch(gate::NAME, &PatchParams::default(), &patch).await;
        patched.map(drop).map_err(|error| failed(&error))
    }
}

// === impl Failed ===

impl Failed {
    fn to_make(error: &rcgen::Error) -> Self {
        Self::because(format!("Secret {NAME}"), error.to_string())
    }
}

fn failed(error: &kube::Error) -> Failed {
    Failed::new(gate::GateKind::Webhook.object(), error)
}

/// Whether a bundle has this certificate, whatever else it has.
fn contains(bundle: &[u8], certificate: &[u8]) -> bool {
    let Ok(wanted) = CertificateDer::from_pem_slice(certificate) else { return false };
    CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok).any(|held| held == wanted)
}
