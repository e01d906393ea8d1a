//! What the command line takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pac_config::DriverKind;

const AFTER_HELP: &str = "\
What would change in the cluster that kubectl talks to, and then the change:
  cargo xtask deploy --mode shadow --image registry.example.com/pac-watcher:0.1.0 --apply
  cargo xtask deploy --mode companion --driver postgresql --set postgresql-host=db.example.com --diff
  cargo xtask deploy --mode companion --driver postgresql --set postgresql-host=db.example.com --apply
  cargo xtask deploy --image registry.example.com/pac-watcher:0.2.0 --apply
  cargo xtask deploy --tenants --apply

Exit codes: 0 done; 1 not done, since the cluster can't be reached or would not; 2 what was chosen can't be used.";

#[derive(Debug, Clone, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DeployOptions {
    #[command(flatten)]
    pub(super) variant: VariantOptions,
    #[command(flatten)]
    pub(super) action: ActionOptions,
}

/// Which manifests. Without any of these: all there are in config/.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Which manifests")]
pub(crate) struct VariantOptions {
    /// What our watcher does, and what PAC's does beside it [default: what there is, or standalone].
    #[arg(long, value_enum)]
    pub(super) mode: Option<Mode>,
    /// Where the watcher runs in companion mode [default: where it is, or deployment].
    #[arg(long, value_enum)]
    pub(super) placement: Option<Placement>,
    /// What keeps PAC's own queue out in companion mode [default: what there is, or with --apply what the API server
    /// serves, or policy].
    #[arg(long, value_enum)]
    pub(super) gate: Option<Gate>,
    /// Where slots and queues are kept [default: where they are, or memory].
    #[arg(long, value_enum)]
    pub(super) driver: Option<DriverKind>,
    /// PAC's namespace [default: pipelines-as-code].
    #[arg(long, value_parser = namespace)]
    pub(super) namespace: Option<String>,
    /// The watcher's image [default: pac-watcher, of this version].
    #[arg(long, value_parser = image)]
    pub(super) image: Option<String>,
    /// How many watchers [default: 2, and 1 with the memory driver]; not in PAC's pod, nor in shadow mode.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) replicas: Option<u16>,
    /// Serve the port for tenants, at which whoever may read PipelineRuns sees their queues; `--tenants=false` takes it away again
    /// [default: as it is, or not].
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) tenants: Option<bool>,
    /// For whom a tenant's token must be, one of these [default: as it is, or pac-concurrency]; it brings --tenants with it.
    #[arg(long, value_name = "AUDIENCE", value_delimiter = ',', value_parser = audience)]
    pub(super) tenants_audience: Vec<String>,
    /// How many minutes a PipelineRun may wait before it is worth an alert [default: 30].
    #[arg(long, value_name = "MINUTES", value_parser = clap::value_parser!(u16).range(1..=10_080))]
    pub(super) wait_target: Option<u16>,
    /// Where alerts send whoever they wake: the address of docs/operations.md as your organisation has it.
    #[arg(long, value_name = "URL", value_parser = web_address)]
    pub(super) runbook_url: Option<String>,
    /// A setting, as docs/settings.md has them; may be given many times. Passwords belong into the Secret.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) set: Vec<(String, String)>,
    /// A YAML file of settings, a mapping of keys or a ConfigMap; --set wins over it.
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
    /// The file in the pod that has the store's password, where something else than the Secret pac-concurrency-secret puts it.
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    pub(super) password_file: Option<String>,
    /// A SecretProviderClass of the Secrets Store CSI driver, to be mounted at /etc/pac-concurrency/external.
    #[arg(long, value_name = "NAME")]
    pub(super) secret_provider_class: Option<String>,
    /// An annotation of the pod, such as those that have Vault's agent injected; may be given many times.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub(super) pod_annotation: Vec<(String, String)>,
}

/// What to do with them; without any of these they are printed.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What to do with them, if not print them")]
pub(crate) struct ActionOptions {
    /// Write one file each into this folder; `-` prints them as one stream.
    #[arg(long, value_name = "DIR|-", group = "action")]
    pub(super) output: Option<PathBuf>,
    /// Write one file for `kubectl apply -f`: all but settings, Secret and monitoring, which are yours.
    #[arg(long, value_name = "FILE", group = "action")]
    pub(super) install: Option<PathBuf>,
    /// Apply them to the cluster kubectl talks to. What isn't chosen stays as the cluster has it: settings, image, replicas.
    #[arg(long, group = "action")]
    pub(super) apply: bool,
    /// Show what --apply would change there.
    #[arg(long, group = "action")]
    pub(super) diff: bool,
    /// Apply them even where two would then start PipelineRuns side by side, or the API server won't take all of them.
    #[arg(long, requires = "apply")]
    pub(super) force: bool,
    /// Fail if config/ is not what would be generated now.
    #[arg(long, group = "action", conflicts_with = "VariantOptions")]
    pub(super) check: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Ours starts PipelineRuns and writes their final states; PAC's must not run.
    #[default]
    Standalone,
    /// Ours starts PipelineRuns; PAC's goes on beside it and does the rest.
    Companion,
    /// PAC's does all it did; ours measures that for a report, and writes nothing.
    Shadow,
}

/// Where the watcher of companion mode runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Placement {
    /// A Deployment of its own.
    #[default]
    Deployment,
    /// A container in the pod of PAC's watcher, for where no operator owns that: one would take it out again.
    Pod,
}

/// What keeps PAC's execution-order annotation from PAC's watcher.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Gate {
    /// A MutatingAdmissionPolicy (Kubernetes 1.36, or a beta) renames it.
    #[default]
    Policy,
    /// A webhook of our watchers (Kubernetes 1.28) renames it.
    Webhook,
    /// A ValidatingAdmissionPolicy (Kubernetes 1.30) refuses it.
    Deny,
}

// === impl VariantOptions ===

impl VariantOptions {
    pub(super) fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("pipelines-as-code")
    }
}

// === impl Mode ===

impl Mode {
    /// Its name on the watcher's command line, too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Standalone => "standalone",
            Self::Companion => "companion",
            Self::Shadow => "shadow",
        }
    }
}

// === impl Gate ===

impl Gate {
    pub(super) const ALL: [Self; 3] = [Self::Policy, Self::Webhook, Self::Deny];

    /// Its name on the watcher's command line, too.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Webhook => "webhook",
            Self::Deny => "deny",
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a key, = and a value, such as postgresql-port=5432")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn audience(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && c != ',') {
        true => Ok(text.to_owned()),
        false => Err("an audience, such as pac-concurrency or https://kubernetes.default.svc".to_owned()),
    }
}

fn web_address(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.starts_with('/') || text.contains('#') || !text.chars().all(|c| c.is_ascii_graphic()) {
        return Err("a whole address without #, such as https://wiki.example.com/pac-watcher/operations.md".to_owned());
    }
    Ok(text.to_owned())
}

fn absolute(text: &str) -> Result<String, String> {
    match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err("a whole path in the pod, such as /vault/secrets/password".to_owned()),
    }
}

fn namespace(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let bordered = text.starts_with('-') || text.ends_with('-');
    if text.is_empty() || text.len() > 63 || !text.chars().all(allowed) || bordered {
        return Err("a namespace has up to 63 of a-z, 0-9 and -, the last not at its ends".to_owned());
    }
    Ok(text.to_owned())
}

fn image(text: &str) -> Result<String, String> {
    let is_printable = |c: char| c.is_ascii_graphic();
    if text.is_empty() || !text.chars().all(is_printable) {
        return Err("an image is named without spaces, such as registry.example.com/pac-watcher:1.0".to_owned());
    }
    Ok(text.to_owned())
}
