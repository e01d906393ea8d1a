//! The keys that switch the system on and choose the driver.

use crate::origin::Origin;
use crate::parse::{boolean, did_you_mean, find_choice, nearest_choice};
use crate::reader::{Parsed, Reader};
use crate::shown::quoted;

/// What the general keys say. `None` is a problem that was reported.
pub(crate) struct General {
    pub(crate) enabled: Option<bool>,
    pub(crate) repository_labels: Option<bool>,
    pub(crate) driver: Option<Driver>,
    /// Where the choice of the driver came from.
    pub(crate) driver_origin: Origin,
}

/// A driver by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Driver {
    PostgreSql,
    Etcd,
    Memory,
}

const DRIVERS: [(&str, Driver); 3] =
    [("postgresql", Driver::PostgreSql), ("etcd", Driver::Etcd), ("memory", Driver::Memory)];

/// What people call the drivers elsewhere, too far from the name for a likeness of letters.
const NICKNAMES: [(&str, &str); 8] = [
    ("pg", "postgresql"),
    ("pgsql", "postgresql"),
    ("psql", "postgresql"),
    ("postgres", "postgresql"),
    ("mem", "memory"),
    ("in-memory", "memory"),
    ("inmemory", "memory"),
    ("etcdv3", "etcd"),
];

// === impl Driver ===

impl Driver {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "postgresql",
            Self::Etcd => "etcd",
            Self::Memory => "memory",
        }
    }
}

/// Reads `concurrency-enabled`, `concurrency-driver` and the older `etcd-enabled`.
pub(crate) fn read(reader: &mut Reader<'_>) -> General {
    let enabled = reader.value("concurrency-enabled", boolean);
    let repository_labels = reader.value("concurrency-repository-labels", boolean);
    let (driver, driver_origin) = choose(reader, enabled);
    General { enabled, repository_labels, driver, driver_origin }
}

fn choose(reader: &mut Reader<'_>, enabled: Option<bool>) -> (Option<Driver>, Origin) {
    let older = reader.value("etcd-enabled", boolean);
    if older == Some(true) && enabled == Some(false) {
        reader.findings.warn("etcd-enabled", "is true, but the system is off until concurrency-enabled is true");
    }
    if reader.collected.is_set("concurrency-driver") {
        return chosen(reader, older);
    }
    let Some(older) = older else {
        return (None, Origin::Default);
    };
    if older {
        let message = "is not set; it is etcd because the older etcd-enabled is true";
        reader.findings.warn("concurrency-driver", message);
        return (Some(Driver::Etcd), reader.collected.origin("etcd-enabled"));
    }
    if enabled == Some(true) {
        let message = "is not set; it is memory, which is for tests: set postgresql or etcd to keep the queues";
        reader.findings.warn("concurrency-driver", message);
    }
    (Some(Driver::Memory), Origin::Default)
}

fn chosen(reader: &mut Reader<'_>, older: Option<bool>) -> (Option<Driver>, Origin) {
    let driver = reader.value("concurrency-driver", driver);
    if let (Some(driver), Some(true)) = (driver, older)
        && driver != Driver::Etcd
    {
        let message = format!("is true but has no effect: concurrency-driver is {}", driver.name());
        reader.findings.warn("etcd-enabled", message);
    }
    (driver, reader.collected.origin("concurrency-driver"))
}

fn driver(text: &str) -> Parsed<Driver> {
    find_choice(text, &DRIVERS).ok_or_else(|| {
        let lower = text.to_ascii_lowercase();
        let nickname = NICKNAMES.iter().find(|(nickname, _)| *nickname == lower).map(|(_, name)| *name);
        let hint = did_you_mean(nickname.or_else(|| nearest_choice(text, &DRIVERS)));
        // "Driver not found" are the words users look for.
        format!("driver not found: {}{hint}", quoted(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_found_in_any_case() {
        assert_eq!(driver("PostgreSQL"), Ok(Driver::PostgreSql));
        assert_eq!(driver("ETCD"), Ok(Driver::Etcd));
        assert_eq!(driver("Memory"), Ok(Driver::Memory));
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
