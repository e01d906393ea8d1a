//! How the watcher and the API server are reached.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::patience::Patience;

/// See the [module](self).
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How the watcher is reached")]
pub(crate) struct Reach {
    /// Where the watcher's admin port is, like http://127.0.0.1:8081 [default: through the API server].
    #[arg(long, env = "PAC_WATCHER_ADMIN_URL", value_name = "URL", global = true)]
    pub(crate) admin_url: Option<String>,
    /// PAC's namespace, where the watcher and its Lease are.
    #[arg(
        long,
        env = "PAC_WATCHER_NAMESPACE",
        default_value = "pipelines-as-code",
        value_name = "NAMESPACE",
        global = true
    )]
    pub(crate) pac_namespace: String,
    /// The watcher's pod [default: the one that leads, by the Lease].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) pod: Option<String>,
    /// The admin port in the pod [default: the one its arguments say, or 8081].
    #[arg(long, value_name = "PORT", global = true)]
    pub(crate) admin_port: Option<u16>,
    /// A kubeconfig [default: $KUBECONFIG, or ~/.kube/config].
    #[arg(long, env = "PAC_WATCHER_KUBECONFIG", value_name = "FILE", global = true, value_hint = ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use [default: its current one].
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}
