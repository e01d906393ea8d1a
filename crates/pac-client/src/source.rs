//! Who says how the queues are: a watcher at its admin port, or the port for tenants.

use serde::de::DeserializeOwned;

use crate::Failure;
use crate::admin::Admin;
use crate::args::{Reach, Server};
use crate::tenants::Tenants;

/// See the [module](self).
pub(crate) enum Source {
    Admin(Admin),
    Tenants(Tenants),
}

// === impl Source ===

impl Source {
    /// The one that was chosen: by default the watcher that leads.
    pub(crate) async fn find(reach: &Reach, server: &Server) -> Result<Self, Failure> {
        match server.url(reach) {
            Some(url) => Tenants::at(url, server, reach).await.map(Self::Tenants),
            None => Admin::find(reach).await.map(Self::Admin),
        }
    }

    /// What is asked about the queues: nothing, or `/summary`, `/explain` and so on, which both have in the same form.
    pub(crate) async fn get<T: DeserializeOwned>(&self, what: &str, about: &[(&str, &str)]) -> Result<T, Failure> {
        match self {
            Self::Admin(admin) => admin.get(&format!("/debug/queue{what}"), about).await,
            Self::Tenants(tenants) => tenants.get(&format!("/queue{what}"), about).await,
        }
    }

    /// Whether it answers about one namespace, or about all for those who may see all; a watcher always has all of them.
    pub(crate) fn is_of_tenants(&self) -> bool {
        matches!(self, Self::Tenants(_))
    }
}
