//! Names of environment variables: which are ours, and which only look like it.

use std::ffi::OsStr;

/// What every variable of the product starts with.
pub(crate) const PREFIX: &str = "PAC_";

/// Variables of other parts of the product, which are none of the settings' business.
const OTHERS: [&str; 3] = ["PAC_WATCHER_", "PAC_CONTROLLER_", "PAC_TEST_"];

/// The kinds of port in the variables Kubernetes makes.
const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];

/// Whether a variable may hold a setting at all.
pub(crate) fn may_be_ours(name: &str, value: &OsStr) -> bool {
    name.starts_with(PREFIX) && !OTHERS.iter().any(|other| name.starts_with(other)) && !is_service_link(name, value)
}

/// Whether Kubernetes made this variable for a Service.
///
/// A Service called `pac-postgresql` puts `PAC_POSTGRESQL_PORT=tcp://10.0.0.1:5432` and half a dozen others into every
/// pod of its namespace. Taken for settings, they would stop the watcher for a mistake that nobody made.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return true;
    }
    if name.ends_with("_PORT") && has_protocol(&value.to_string_lossy()) {
        return true;
    }
    name.split_once("_PORT_").is_some_and(|(_, rest)| is_port_link(rest))
}

fn has_protocol(value: &str) -> bool {
    value.split_once("://").is_some_and(|(protocol, _)| PROTOCOLS.contains(&protocol))
}

/// `5432_TCP`, `5432_TCP_ADDR`, `5432_TCP_PORT`, `5432_TCP_PROTO`.
fn is_port_link(rest: &str) -> bool {
    let mut parts = rest.split('_');
    let is_number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
    is_number && parts.next().is_some_and(|part| PROTOCOLS.contains(&part.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_a_service_are_not_settings() {
        let made_by_kubernetes = [
            ("PAC_POSTGRESQL_SERVICE_HOST", "10.0.0.1"),
            ("PAC_POSTGRESQL_SERVICE_PORT", "5432"),
            ("PAC_POSTGRESQL_SERVICE_PORT_TCP_POSTGRESQL", "5432"),
            ("PAC_POSTGRESQL_PORT", "tcp://10.0.0.1:5432"),
            ("PAC_POSTGRESQL_PORT_5432_TCP", "tcp://10.0.0.1:5432"),
            ("PAC_POSTGRESQL_PORT_5432_TCP_PROTO", "tcp"),
            ("PAC_POSTGRESQL_PORT_5432_TCP_PORT", "5432"),
            ("PAC_POSTGRESQL_PORT_5432_TCP_ADDR", "10.0.0.1"),
            ("PAC_ETCD_PORT", "tcp://10.0.0.1:2379"),
        ];
        for (name, value) in made_by_kubernetes {
            assert!(!may_be_ours(name, OsStr::new(value)), "{name}={value}");
        }
    }

    #[test]
    fn variables_of_the_watcher_and_of_tests_are_not_settings() {
        for name in ["PAC_WATCHER_CONFIG", "PAC_CONTROLLER_PORT", "PAC_TEST_POSTGRES", "HOME", "POSTGRESQL_HOST"] {
            assert!(!may_be_ours(name, OsStr::new("x")), "{name}");
        }
    }

    #[test]
    fn a_port_that_a_person_wrote_is_a_setting() {
        for (name, value) in [("PAC_POSTGRESQL_PORT", "5432"), ("PAC_POSTGRESQL_PORT_FILE", "/port")] {
            assert!(may_be_ours(name, OsStr::new(value)), "{name}={value}");
        }
    }
}
