//! The server of the driver that is not in use, where the settings name one: the one that was in use before, most likely.

use crate::collect::{Collected, collect};
use crate::driver_kind::DriverKind;
use crate::files::ReadFile;
use crate::key::Key;
use crate::keys;
use crate::parse::boolean;
use crate::problem::{Findings, Problems};
use crate::resolve::resolve;
use crate::settings::{DriverSettings, EtcdMode, Settings};
use crate::sources::Sources;

/// The settings of the other driver that keeps state on a server, if `sources` name a server of it that isn't the default
/// one, or say by `etcd-enabled` that etcd was in use.
///
/// # Errors
///
/// What is wrong with those settings.
pub fn other_store(
    sources: &Sources,
    settings: &Settings,
    files: &dyn ReadFile,
) -> Result<Option<DriverSettings>, Problems> {
    let (driver, key) = match &settings.driver {
        DriverSettings::PostgreSql(_) => (DriverKind::Etcd, &keys::ETCD_ENDPOINTS),
        DriverSettings::Etcd(etcd) if etcd.mode == EtcdMode::Etcd => (DriverKind::PostgreSql, &keys::POSTGRESQL_HOST),
        DriverSettings::Etcd(_) | DriverSettings::Memory(_) => return Ok(None),
    };
    let collected = collect(sources, files, &mut Findings::default());
    let was_enabled = driver == DriverKind::Etcd
        && text(&collected, &keys::ETCD_ENABLED).is_some_and(|text| matches!(boolean(text), Ok(true)));
    if !was_enabled && !is_named(&collected, key) {
        return Ok(None);
    }
    let resolved = resolve(&sources.clone().with_driver(driver, keys::CONCURRENCY_DRIVER.name), files)?;
    Ok(Some(resolved.settings.driver).filter(|other| match other {
        DriverSettings::Etcd(etcd) => etcd.mode == EtcdMode::Etcd,
        DriverSettings::PostgreSql(_) | DriverSettings::Memory(_) => true,
    }))
}

/// Whether somebody wrote a server of his own.
fn is_named(collected: &Collected, key: &Key) -> bool {
    text(collected, key).is_some_and(|text| !text.is_empty() && text != key.default)
}

fn text<'a>(collected: &'a Collected, key: &Key) -> Option<&'a str> {
    collected.get(key)?.text.as_deref()
}
