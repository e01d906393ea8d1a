//! The port for tenants, asked in place of a watcher's admin port.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{Reach, What};
use crate::Failure;

const VARIABLE: &str = "PAC_WATCHER_SERVER";

/// See the [module](self).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How the port for tenants is reached, by those without rights in PAC's namespace")]
pub(crate) struct Server {
    /// The address of the port for tenants, with https: it is asked in place of the watcher, with the token of the kubeconfig's
    /// user (list, show, explain and wait).
    #[arg(long, env = VARIABLE, value_name = "URL", global = true)]
    server: Option<String>,
    /// The authorities that vouch for its certificate, as PEM [default: the system's].
    #[arg(long, env = "PAC_WATCHER_CERTIFICATE_AUTHORITY", value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// Send the token without TLS to another machine, too: whoever is on the network between may then act by it.
    #[arg(long, global = true)]
    pub(crate) plain_http: bool,
}

// === impl Server ===

impl Server {
    /// Where it is, if it is to be asked. Who names a watcher on the command line means that one, whatever the environment says.
    pub(crate) fn url(&self, reach: &Reach) -> Option<&str> {
        let url = self.server.as_deref().filter(|url| !url.is_empty())?;
        (self.is_typed() || !names_a_watcher(reach)).then_some(url)
    }

    /// Refuses what it is of no use for.
    pub(crate) fn check(&self, what: &What, reach: &Reach) -> Result<(), Failure> {
        let usage = |why: &str| Err(Failure::Usage(why.to_owned()));
        if self.url(reach).is_none() {
            return if self.plain_http { usage("--plain-http is for --server alone") } else { Ok(()) };
        }
        if names_a_watcher(reach) {
            return usage("--server asks the port for tenants; --admin-url, --pod and --admin-port are of a watcher");
        }
        match what {
            What::List | What::Show { .. } | What::Explain { .. } | What::Wait { .. } => Ok(()),
            What::Advise { .. } => usage(
                "advise isn't possible by way of --server (PAC_WATCHER_SERVER): the port for tenants has no history of the week. \
                 Without it the watcher is asked, which takes the rights of kubectl port-forward in PAC's namespace. By way of \
                 --server there are list, show, explain and wait",
            ),
            // The variable is for the commands that have a use for it.
            _ if !self.is_typed() => Ok(()),
            What::Pause { .. } | What::Resume { .. } => usage(&changes("patch repositories")),
            What::Release { .. } => usage(&changes("patch pipelineruns")),
        }
    }

    /// Whether the command line has it, and not the environment alone.
    fn is_typed(&self) -> bool {
        self.server.is_some() && self.server != std::env::var(VARIABLE).ok()
    }
}

fn names_a_watcher(reach: &Reach) -> bool {
    reach.admin_url.is_some() || reach.pod.is_some() || reach.admin_port.is_some()
}

fn changes(right: &str) -> String {
    format!(
        "nothing can be changed by way of --server: leave it out, and the API server is asked with your own rights (`{right}` in \
         that namespace, as ClusterRole pac-concurrency-operator has it). By way of --server there are list, show, explain and wait"
    )
}
