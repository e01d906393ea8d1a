//! What an operator decides, as the annotations that say it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use pac_concurrency::RunKey;

use crate::api::labels::{PAUSED, PAUSED_UNTIL, RELEASED, RELEASED_REASON, RESUMED};

/// See the [module](self).
#[derive(Debug, Clone, Copy)]
pub enum Decision<'a> {
    /// Nobody of a Repository is admitted until then, or until it is resumed.
    Paused {
        /// Why.
        reason: &'a str,
        /// When the pause ends by itself.
        until: Option<Timestamp>,
    },
    /// The pause of a Repository is over.
    Resumed {
        /// Why.
        reason: Option<&'a str>,
    },
    /// A run counts no more.
    Released {
        /// This very one, and no other of its name.
        run: &'a RunKey,
        /// Why.
        reason: &'a str,
    },
}

// === impl Decision ===

impl Decision<'_> {
    /// The annotations it writes; none where one is taken away.
    pub fn annotations(&self) -> BTreeMap<&'static str, Option<String>> {
        let text = |text: &str| Some(text.to_owned());
        match self {
            Self::Paused { reason, until } => {
                let until = until.map(|until| until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
                [(PAUSED, text(reason)), (PAUSED_UNTIL, until), (RESUMED, None)].into()
            }
            Self::Resumed { reason } => [(PAUSED, None), (PAUSED_UNTIL, None), (RESUMED, reason.and_then(text))].into(),
            Self::Released { run, reason } => [(RELEASED, text(run.uid())), (RELEASED_REASON, text(reason))].into(),
        }
    }

    /// The metadata that an object with `metadata` would have then.
    pub fn onto(&self, mut metadata: ObjectMeta) -> ObjectMeta {
        let annotations = metadata.annotations.get_or_insert_default();
        for (name, text) in self.annotations() {
            match text {
                Some(text) => annotations.insert(name.to_owned(), text),
                None => annotations.remove(name),
            };
        }
        metadata
    }
}
