//! Settings of the concurrency system: text in, typed settings out.
//!
//! Settings come from people, in several ways: two ConfigMaps, a Secret, files, environment variables, and a local YAML
//! file in place of the first three. This crate gathers them, decides which one wins, checks every value, and hands
//! back either [`Settings`] that nothing after it needs to check again, or every [`Problem`] at once.
//!
//! # The story of one setting
//!
//! ```text
//! ConfigMaps ┐
//! Secret ────┤           which way in wins       text to type        what fits together
//! …_FILE ────┼─ Sources ──── collect ──────────── parse ───────────── postgresql / etcd ──> Settings
//! variable ──┤                  │                   │                        │
//! default ───┘                  └────── problems and warnings, each with its key ──> Problems, Vec<Warning>
//! ```
//!
//! 1. [`Sources`] holds what was found, untouched; [`Origin`] remembers where each value was.
//! 2. [`resolve()`] takes the first way in that has a value: the system's own ConfigMap, PAC's, the Secret,
//!    `PAC_<KEY>_FILE`, `PAC_<KEY>`, the default. An empty value is no value.
//! 3. Every value that is set is parsed, those of drivers not chosen too. A bad value of the chosen driver, or one
//!    that chooses it, is a problem and nothing starts; a bad value of another driver is a warning.
//! 4. [`Resolved`] has the [`Settings`], the effective value and origin of every key, and the warnings.
//!
//! # What it promises
//!
//! - **One table.** [`keys()`] lists every key with its default, what it allows and what it means. The parser, the
//!   documentation ([`settings_markdown`]) and the report all read that table, and [`mod@keys`] has a constant for each key,
//!   by which all name it.
//! - **All problems at once**, one a line, each with its key, its value, what is allowed and where it came from.
//! - **No password in any text.** [`Secret`] has no `Display` and hides itself from `Debug`; messages never quote the
//!   value of a secret key or of an unknown key, and passwords inside URLs are masked.
//! - **No panic**, whatever the text.
//!
//! It knows no Kubernetes, opens no socket and prints nothing. The only files it reads are those that a setting
//! names, through [`ReadFile`].
//!
//! # Where to read on
//!
//! `keys` (the table), `settings` (what comes out), `resolve` (the order of events), `collect` (who wins); then the
//! parsers, `unknown` (did you mean), `local_file` (the `--config` file) and `difference` (what a change needs) as needed.
//!
//! # Example
//!
//! ```
//! use pac_config::{Disk, DriverKind, Sources, keys, resolve};
//!
//! let sources = Sources::new()
//!     .with_config_map(
//!         "pipelines-as-code/pipelines-as-code",
//!         [(&keys::CONCURRENCY_ENABLED, "true"), (&keys::CONCURRENCY_DRIVER, "memory")],
//!     )
//!     .with_environment(std::env::vars_os());
//! let resolved = resolve(&sources, &Disk)?;
//! assert!(resolved.settings.enabled);
//! assert_eq!(resolved.settings.driver.kind(), DriverKind::Memory);
//! # Ok::<(), pac_config::Problems>(())
//! ```

mod collect;
mod difference;
mod driver_kind;
mod duration;
mod etcd;
mod files;
mod general;
mod given;
mod impact;
mod key;
pub mod keys;
mod local_file;
mod markdown;
mod origin;
mod other_store;
mod parse;
mod postgresql;
mod problem;
mod reader;
mod report;
mod resolve;
mod secret;
mod settings;
mod shown;
mod sources;
mod text;
mod traces;
mod unknown;
mod variable;
mod yaml;

pub use driver_kind::DriverKind;
pub use duration::{NotADuration, parse_duration};
pub use files::{Disk, ReadFile};
pub use impact::SettingsImpact;
pub use key::{Group, Key};
pub use keys::{find_key, keys};
pub use markdown::settings_markdown;
pub use origin::Origin;
pub use other_store::other_store;
pub use problem::{Problem, Problems, Warning};
pub use report::{problems_report, report};
pub use resolve::{Effective, Resolved, resolve};
pub use secret::Secret;
pub use settings::{
    ClientIdentity, Credentials, DriverSettings, Endpoint, EtcdMode, EtcdSettings, MemorySettings, PostgreSqlServer,
    PostgreSqlSettings, Scheme, Settings, SslMode, TracesSettings,
};
pub use sources::Sources;
