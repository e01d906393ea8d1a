//! Settings as --set gives them, checked as the watcher itself will check them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use pac_config::{DriverSettings, EtcdMode, Key, ReadFile, Resolved, Sources, find_key, keys, resolve};

use super::names::{CONFIG_MAP, SECRET, TLS_SECRET};
use super::options::VariantOptions;
use super::pod::TLS_FOLDER;
use crate::demo::Driver;

/// Why nothing is made of what was asked for, a line each: exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(super) Vec<String>);

/// The settings of one variant.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Every key and its value, in the order of the table.
    pub(super) data: Vec<(&'static Key, String)>,
    pub(super) store: Store,
}

/// Where slots and queues are, as far as it makes a difference to manifests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Store {
    /// In the watcher itself.
    Memory,
    /// On a server.
    Server {
        /// Its ports.
        ports: Vec<u16>,
        /// The key of its password; none where nobody logs in.
        password: Option<&'static Key>,
    },
}

/// The pod's files, as far as they are known here: those of the Secret with certificates and keys.
struct InPod;

// === impl Unusable ===

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "nothing was done:\n  {}", self.0.join("\n  "))
    }
}

impl std::error::Error for Unusable {}

// === impl Chosen ===

impl Chosen {
    /// All problems at once, or the settings, with what is suspicious about them.
    pub(super) fn of(options: &VariantOptions, namespace: &str) -> Result<(Self, Vec<String>), Unusable> {
        let set: BTreeMap<&str, &str> = options.set.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let mut problems: Vec<String> = set.keys().filter_map(|key| misplaced(key)).collect();
        let driver = driver(options.driver, set.get("concurrency-driver").copied(), &mut problems);
        let value = |key: &Key| match key.name {
            "concurrency-driver" => driver.to_owned(),
            name => set.get(name).map_or(key.default, |value| *value).to_owned(),
        };
        let data: Vec<(&'static Key, String)> = keys().map(|key| (key, value(key))).collect();
        match resolve(&sources(&data, &set, namespace), &InPod) {
            Ok(resolved) if problems.is_empty() => {
                let warnings = resolved.warnings.iter().map(ToString::to_string).collect();
                Ok((Self { data, store: store(&resolved) }, warnings))
            }
            Ok(_) => Err(Unusable(problems)),
            Err(found) => {
                problems.extend(found.problems.iter().map(ToString::to_string));
                Err(Unusable(problems))
            }
        }
    }

    /// The driver's name.
    pub(super) fn driver(&self) -> &str {
        let driver = self.data.iter().find(|(key, _)| key.name == "concurrency-driver");
        driver.map_or("memory", |(_, value)| value)
    }
}

/// Why a key has no place in --set, if it hasn't. A misspelled key of ours is found with all else that is wrong.
fn misplaced(key: &str) -> Option<String> {
    match find_key(key) {
        Some(key) if key.secret => {
            Some(format!("{}: a password is not for --set, put it into the Secret {SECRET}", key.name))
        }
        Some(_) => None,
        None if ["concurrency-", "postgresql-", "etcd-", "memory-"].iter().any(|prefix| key.starts_with(prefix)) => {
            None
        }
        None => Some(format!("{key}: is not a setting of the concurrency system; docs/settings.md has them")),
    }
}

fn driver<'a>(option: Option<Driver>, set: Option<&'a str>, problems: &mut Vec<String>) -> &'a str {
    let option = option.map(|driver| match driver {
        Driver::Memory => "memory",
        Driver::Postgresql => "postgresql",
        Driver::Etcd => "etcd",
    });
    if let (Some(option), Some(set)) = (option, set)
        && option != set
    {
        problems.push(format!("concurrency-driver: --driver says {option}, --set says {set}"));
    }
    set.or(option).unwrap_or("memory")
}

/// What the watcher will find: the ConfigMap, with all that --set says, misspelled or not, and a Secret. What is in that is
/// not known here; a stand-in keeps its absence from being reported.
fn sources(data: &[(&'static Key, String)], set: &BTreeMap<&str, &str>, namespace: &str) -> Sources {
    let mut found: BTreeMap<&str, &str> = data.iter().map(|(key, value)| (key.name, value.as_str())).collect();
    found.extend(set);
    found.insert("postgresql-password", "");
    found.insert("etcd-password", "");
    let logs_in = found.get("etcd-username").is_some_and(|name| !name.trim().is_empty());
    let etcd = if logs_in { "stand-in" } else { "" };
    Sources::new()
        .with_config_map(&format!("{namespace}/{CONFIG_MAP}"), found)
        .with_secret(&format!("{namespace}/{SECRET}"), [("postgresql-password", "stand-in"), ("etcd-password", etcd)])
}

fn store(resolved: &Resolved) -> Store {
    match &resolved.settings.driver {
        DriverSettings::Memory(_) => Store::Memory,
        DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => Store::Memory,
        DriverSettings::PostgreSql(postgresql) => {
            Store::Server { ports: vec![postgresql.port], password: find_key("postgresql-password") }
        }
        DriverSettings::Etcd(etcd) => {
            let mut ports: Vec<u16> = etcd.endpoints.iter().map(|endpoint| endpoint.port).collect();
            ports.sort_unstable();
            ports.dedup();
            let password = etcd.credentials.as_ref().and_then(|_| find_key("etcd-password"));
            Store::Server { ports, password }
        }
    }
}

// === impl InPod ===

impl ReadFile for InPod {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.parent() == Some(Path::new(TLS_FOLDER)) {
            return Ok(b"-----BEGIN CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\n".to_vec());
        }
        let why = format!("the pod has such files in {TLS_FOLDER} alone, from the Secret {TLS_SECRET}");
        Err(io::Error::other(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(driver: Option<Driver>, set: &[(&str, &str)]) -> Result<Chosen, Vec<String>> {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = VariantOptions { driver, set, ..VariantOptions::default() };
        Chosen::of(&options, "ns").map(|(chosen, _)| chosen).map_err(|Unusable(problems)| problems)
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let set = [("postgresql-port", "54x32"), ("postgresql-hots", "db"), ("postgresql-password", "x"), ("a", "b")];
        let problems = chosen(Some(Driver::Postgresql), &set).unwrap_err();
        let starts =
            ["a: is not", "postgresql-password: a password", "postgresql-port: \"54x32\"", "postgresql-hots: unk"];
        assert_eq!(problems.len(), starts.len(), "{problems:?}");
        for (problem, start) in problems.iter().zip(starts) {
            assert!(problem.starts_with(start), "{problem}");
        }
    }

    #[test]
    fn a_password_is_refused_without_repeating_it() {
        let problems = chosen(None, &[("etcd-password", "hunter2")]).unwrap_err();
        assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    }

    #[test]
    fn the_driver_may_be_given_either_way_but_not_both_ways() {
        let ports = |chosen: Chosen| match chosen.store {
            Store::Server { ports, .. } => ports,
            Store::Memory => Vec::new(),
        };
        assert_eq!(ports(chosen(Some(Driver::Etcd), &[]).unwrap()), [2379]);
        assert_eq!(ports(chosen(None, &[("concurrency-driver", "postgresql")]).unwrap()), [5432]);
        assert_eq!(ports(chosen(None, &[]).unwrap()), [0_u16; 0]);
        let problems = chosen(Some(Driver::Etcd), &[("concurrency-driver", "memory")]).unwrap_err();
        assert_eq!(problems, ["concurrency-driver: --driver says etcd, --set says memory"]);
    }

    #[test]
    fn the_stores_ports_and_password_are_those_of_its_settings() {
        let set = [("etcd-endpoints", "a:2379,b:2390,c:2379"), ("etcd-username", "pac")];
        let Store::Server { ports, password } = chosen(Some(Driver::Etcd), &set).unwrap().store else { panic!() };
        assert_eq!((ports, password.map(|key| key.name)), (vec![2379, 2390], Some("etcd-password")));
        assert_eq!(chosen(Some(Driver::Etcd), &[("etcd-mode", "mock")]).unwrap().store, Store::Memory);
    }

    #[test]
    fn certificates_are_taken_to_be_where_the_pod_has_them() {
        let mounted = format!("{TLS_FOLDER}/ca.crt");
        let with = |file: &str| {
            let set = [("postgresql-ssl-mode", "verify-full"), ("postgresql-ssl-ca-file", file)];
            chosen(Some(Driver::Postgresql), &set)
        };
        assert!(with(&mounted).is_ok());
        let problems = with("/home/me/ca.crt").unwrap_err();
        assert!(problems[0].contains(TLS_SECRET), "{problems:?}");
    }
}
