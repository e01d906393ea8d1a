//! From sources to settings: the order of events.

use crate::collect::{Collected, collect};
use crate::driver_kind::DriverKind;
use crate::files::ReadFile;
use crate::general::General;
use crate::key::{Group, Key};
use crate::keys::{self, keys};
use crate::origin::Origin;
use crate::parse::duration;
use crate::problem::{Findings, Problems, Warning};
use crate::reader::Reader;
use crate::secret::HIDDEN;
use crate::settings::{DriverSettings, EtcdMode, MemorySettings, Settings};
use crate::shown::plain;
use crate::sources::Sources;
use crate::{etcd, general, postgresql, traces, unknown};

/// What a table shows for a key without value.
const NOT_SET: &str = "(not set)";

/// Settings that can be used, with the story behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The typed settings.
    pub settings: Settings,
    /// Every key of the table, in its order, with the value that counts and where it came from.
    pub effective: Vec<Effective>,
    /// What works but is probably not what was meant, in the order of the table.
    pub warnings: Vec<Warning>,
}

/// The value of one key that counts, as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key.
    pub key: &'static Key,
    /// Its value as text: `********` for a secret, `(not set)` for none.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Decides, parses and checks every setting.
///
/// # Errors
///
/// Every problem of the general keys, of the chosen driver's keys, of unknown keys and of a local file, at once. Bad
/// values of other drivers are warnings. Trying again doesn't help; somebody has to change a setting.
pub fn resolve(sources: &Sources, files: &dyn ReadFile) -> Result<Resolved, Problems> {
    let mut findings = Findings::default();
    let collected = collect(sources, files, &mut findings);
    let mut reader = Reader { collected: &collected, findings: &mut findings };
    let general = general::read(&mut reader);
    let traces = traces::read(&mut reader, files);
    let settings = read_drivers(&mut reader, &general, files);
    let settings = (|| {
        let (enabled, paused, draining) = (general.enabled?, general.paused?, general.draining?);
        let (repository_labels, annotations) = (general.repository_labels?, general.annotations?);
        let pac_makes_secrets = !sources.pac_says_no("secret-auto-create");
        let driver = settings?;
        let traces = traces?;
        Some(Settings { enabled, paused, draining, repository_labels, annotations, traces, pac_makes_secrets, driver })
    })();

    // Unknown keys and a broken file are nobody's, so they are never pardoned.
    findings.problems.extend_from_slice(&sources.findings.problems);
    findings.warnings.extend_from_slice(&sources.findings.warnings);
    unknown::look(sources, &collected, &mut findings);
    findings.sort();
    match settings {
        Some(settings) if findings.problems.is_empty() => {
            let effective = keys().map(|key| effective(key, &collected, &general)).collect();
            Ok(Resolved { settings, effective, warnings: findings.warnings })
        }
        _ => Err(Problems { problems: findings.problems, warnings: findings.warnings }),
    }
}

/// Reads the keys of all drivers, and checks what fits together in the chosen one.
fn read_drivers(reader: &mut Reader<'_>, general: &General, files: &dyn ReadFile) -> Option<DriverSettings> {
    let memory_lease_ttl = reader.value(&keys::MEMORY_LEASE_TTL, duration::lease);
    let postgresql = postgresql::read(reader);
    let etcd = etcd::read(reader, memory_lease_ttl);
    let driver = general.driver?;
    match driver {
        DriverKind::PostgreSql => postgresql::check(reader, postgresql.as_ref(), files),
        DriverKind::Etcd => etcd::check(reader, &etcd, files),
        DriverKind::Memory => {}
    }
    let is_in_memory = etcd.mode.is_some_and(|mode| mode != EtcdMode::Etcd);
    let note = format!("not in use: the driver is {}", driver.name());
    reader.findings.pardon(|key| is_in_use(key.group, driver, is_in_memory), &note);
    match driver {
        DriverKind::PostgreSql => postgresql.map(DriverSettings::PostgreSql),
        DriverKind::Etcd => etcd.settings.map(DriverSettings::Etcd),
        DriverKind::Memory => memory_lease_ttl.map(|lease_ttl| DriverSettings::Memory(MemorySettings { lease_ttl })),
    }
}

fn is_in_use(group: Group, driver: DriverKind, is_in_memory: bool) -> bool {
    match group {
        Group::General => true,
        Group::PostgreSql => driver == DriverKind::PostgreSql,
        Group::Etcd => driver == DriverKind::Etcd,
        Group::Memory => driver == DriverKind::Memory || (driver == DriverKind::Etcd && is_in_memory),
    }
}

fn effective(key: &'static Key, collected: &Collected, general: &General) -> Effective {
    if *key == keys::CONCURRENCY_DRIVER {
        let value = general.driver.map_or(key.default, DriverKind::name).to_owned();
        return Effective { key, value, origin: general.driver_origin.clone() };
    }
    let found = collected.get(key);
    let text = found.map_or(Some(key.default), |found| found.text.as_deref());
    let value = match text {
        None | Some("") => NOT_SET.to_owned(),
        Some(_) if key.secret => HIDDEN.to_owned(),
        Some(text) => plain(text),
    };
    Effective { key, value, origin: collected.origin(key) }
}

// === impl Resolved ===

impl Resolved {
    /// Whether a key counts with these settings: a general one, or one of the chosen driver.
    pub fn is_in_use(&self, key: &Key) -> bool {
        let driver = &self.settings.driver;
        let is_in_memory = matches!(driver, DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd);
        is_in_use(key.group, driver.kind(), is_in_memory)
    }
}
