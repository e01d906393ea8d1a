//! The keys that switch the system on and choose the driver.

use crate::driver_kind::DriverKind;
use crate::keys;
use crate::origin::Origin;
use crate::parse::{boolean, did_you_mean, nearest};
use crate::reader::{Parsed, Reader};
use crate::shown::quoted;

/// What the general keys say. `None` is a problem that was reported.
pub(crate) struct General {
    pub(crate) enabled: Option<bool>,
    pub(crate) paused: Option<bool>,
    pub(crate) draining: Option<bool>,
    pub(crate) repository_labels: Option<bool>,
    pub(crate) annotations: Option<bool>,
    pub(crate) driver: Option<DriverKind>,
    /// Where the choice of the driver came from.
    pub(crate) driver_origin: Origin,
}

/// What people call the drivers elsewhere, too far from the name for a likeness of letters.
const NICKNAMES: [(&str, DriverKind); 8] = [
    ("pg", DriverKind::PostgreSql),
    ("pgsql", DriverKind::PostgreSql),
    ("psql", DriverKind::PostgreSql),
    ("postgres", DriverKind::PostgreSql),
    ("mem", DriverKind::Memory),
    ("in-memory", DriverKind::Memory),
    ("inmemory", DriverKind::Memory),
    ("etcdv3", DriverKind::Etcd),
];

/// Reads `concurrency-enabled`, `concurrency-paused`, `concurrency-draining`, `concurrency-driver` and the older `etcd-enabled`.
pub(crate) fn read(reader: &mut Reader<'_>) -> General {
    let enabled = reader.value(&keys::CONCURRENCY_ENABLED, boolean);
    let paused = reader.value(&keys::CONCURRENCY_PAUSED, boolean);
    let draining = reader.value(&keys::CONCURRENCY_DRAINING, boolean);
    let repository_labels = reader.value(&keys::CONCURRENCY_REPOSITORY_LABELS, boolean);
    let annotations = reader.value(&keys::CONCURRENCY_ANNOTATIONS, boolean);
    let (driver, driver_origin) = choose(reader, enabled);
    General { enabled, paused, draining, repository_labels, annotations, driver, driver_origin }
}

fn choose(reader: &mut Reader<'_>, enabled: Option<bool>) -> (Option<DriverKind>, Origin) {
    let older = reader.value(&keys::ETCD_ENABLED, boolean);
    if older == Some(true) && enabled == Some(false) {
        let message = format!("is true, but the system is off until {} is true", keys::CONCURRENCY_ENABLED);
        reader.findings.warn(&keys::ETCD_ENABLED, message);
    }
    if reader.collected.is_set(&keys::CONCURRENCY_DRIVER) {
        return chosen(reader, older);
    }
    let Some(older) = older else {
        return (None, Origin::Default);
    };
    if older {
        let message = format!("is not set; it is etcd because the older {} is true", keys::ETCD_ENABLED);
        reader.findings.warn(&keys::CONCURRENCY_DRIVER, message);
        return (Some(DriverKind::Etcd), reader.collected.origin(&keys::ETCD_ENABLED));
    }
    if enabled == Some(true) {
        let message = "is not set; it is memory, which is for tests: set postgresql or etcd to keep the queues";
        reader.findings.warn(&keys::CONCURRENCY_DRIVER, message);
    }
    (Some(DriverKind::Memory), Origin::Default)
}

fn chosen(reader: &mut Reader<'_>, older: Option<bool>) -> (Option<DriverKind>, Origin) {
    let driver = reader.value(&keys::CONCURRENCY_DRIVER, driver);
    if let (Some(driver), Some(true)) = (driver, older)
        && driver != DriverKind::Etcd
    {
        let message = format!("is true but has no effect: {} is {driver}", keys::CONCURRENCY_DRIVER);
        reader.findings.warn(&keys::ETCD_ENABLED, message);
    }
    (driver, reader.collected.origin(&keys::CONCURRENCY_DRIVER))
}

fn driver(text: &str) -> Parsed<DriverKind> {
    DriverKind::named(text).ok_or_else(|| {
        let lower = text.to_ascii_lowercase();
        let nickname = NICKNAMES.iter().find(|(nickname, _)| *nickname == lower).map(|(_, kind)| kind.name());
        let hint = did_you_mean(nickname.or_else(|| nearest(text, DriverKind::ALL.into_iter().map(DriverKind::name))));
        // "Driver not found" are the words users look for.
        format!("driver not found: {}{hint}", quoted(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_found_in_any_case() {
        assert_eq!(driver("PostgreSQL"), Ok(DriverKind::PostgreSql));
        assert_eq!(driver("ETCD"), Ok(DriverKind::Etcd));
        assert_eq!(driver("Memory"), Ok(DriverKind::Memory));
    }

    #[test]
    fn nicknames_and_typing_errors_get_the_name() {
        for (text, name) in NICKNAMES {
            assert_eq!(driver(text), Err(format!("driver not found: \"{text}\"; did you mean {name}?")));
        }
        assert_eq!(driver("postgersql").unwrap_err(), "driver not found: \"postgersql\"; did you mean postgresql?");
        assert_eq!(driver("redis").unwrap_err(), "driver not found: \"redis\"");
    }
}
