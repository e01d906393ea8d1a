//! Settings as --set, --settings and the cluster give them, checked as the watcher itself will check them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::Path;

use pac_config::{
    Disk, DriverKind, DriverSettings, EtcdMode, Group, Key, ReadFile, Resolved, Sources, find_key, keys, resolve,
};

use super::folders::TLS_FOLDER;
use super::names::{CONFIG_MAP, SECRET, TLS_SECRET};
use super::options::VariantOptions;

/// Why nothing is made of what was asked for, a line each: exit code 2.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(super) Vec<String>);

/// The settings of one variant.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// Every key and its value, in the order of the table.
    pub(super) data: Vec<(&'static Key, String)>,
    /// Whether the system is on.
    pub(super) enabled: bool,
    pub(super) store: Store,
    /// Where they are until now, if that is known: it is needed until all has moved over.
    pub(super) former: Store,
    /// The port of whoever gets traces.
    pub(super) traces: Option<u16>,
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

// === impl Store ===

impl Store {
    /// The key of its password; none where nobody logs in.
    pub(super) fn password(&self) -> Option<&'static Key> {
        match self {
            Self::Server { password, .. } => *password,
            Self::Memory => None,
        }
    }

    pub(super) fn ports(&self) -> &[u16] {
        match self {
            Self::Server { ports, .. } => ports,
            Self::Memory => &[],
        }
    }
}

// === impl Chosen ===

impl Chosen {
    /// All problems at once, or the settings, with what is suspicious about them. `live` is what counts in the cluster now.
    pub(super) fn of(
        options: &VariantOptions,
        namespace: &str,
        live: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<String>), Unusable> {
        let mut problems = Vec::new();
        let mut set = options.settings.as_deref().map_or(Ok(BTreeMap::new()), in_file).unwrap_or_else(|found| {
            problems = found;
            BTreeMap::new()
        });
        set.extend(options.set.iter().cloned());
        problems.extend(set.keys().filter_map(|key| misplaced(key)));
        let driver = driver(options.driver, &set, live, &mut problems);
        let value = |key: &Key| match *key == keys::CONCURRENCY_DRIVER {
            true => driver,
            false => set.get(key.name).or_else(|| live.get(key.name)).map_or(key.default, String::as_str),
        };
        // These are somebody's word for a while: no apply of these files is to end it, and none to begin it unasked.
        let for_a_while = [&keys::CONCURRENCY_PAUSED, &keys::CONCURRENCY_DRAINING];
        let is_said = |key: &&Key| !for_a_while.contains(key) || set.contains_key(key.name);
        let all = pac_config::keys().filter(is_said);
        let data: Vec<(&'static Key, String)> = all.map(|key| (key, value(key).to_owned())).collect();
        let strangers = live.iter().chain(&set);
        match resolve(&sources(&data, strangers, namespace), &InPod) {
            Ok(resolved) if problems.is_empty() => {
                let warnings = resolved.warnings.iter().map(ToString::to_string).collect();
                let former = resolve(&sources(&[], live.iter(), namespace), &InPod);
                let former = former.map_or(Store::Memory, |resolved| store(&resolved));
                let (enabled, store) = (resolved.settings.enabled, store(&resolved));
                let traces = resolved.settings.traces.as_ref().map(|collector| collector.endpoint.port);
                Ok((Self { data, enabled, store, former, traces }, warnings))
            }
            Ok(_) => Err(Unusable(problems)),
            Err(found) => {
                problems.extend(found.problems.iter().map(ToString::to_string));
                Err(Unusable(problems))
            }
        }
    }

    /// What is different from `live`, a line each.
    pub(super) fn changes(&self, live: &BTreeMap<String, String>) -> Vec<String> {
        let change = |(key, value): &(&'static Key, String)| {
            let before = live.get(key.name).map_or(key.default, String::as_str);
            let note = if live.contains_key(key.name) { "" } else { " (the default)" };
            (before != value).then(|| format!("{}: {before:?}{note} becomes {value:?}", key.name))
        };
        self.data.iter().filter_map(change).collect()
    }

    /// The driver's name.
    pub(super) fn driver(&self) -> &str {
        let driver = self.data.iter().find(|(key, _)| **key == keys::CONCURRENCY_DRIVER);
        driver.map_or(keys::CONCURRENCY_DRIVER.default, |(_, value)| value)
    }
}

/// What a file of settings has; every problem with it, if any.
fn in_file(path: &Path) -> Result<BTreeMap<String, String>, Vec<String>> {
    let found = Sources::new().with_local_file(path, &Disk).given();
    found.map_err(|problems| problems.problems.iter().map(ToString::to_string).collect())
}

/// Why a key has no place in --set or --settings, if it hasn't. A misspelled key of ours is found with all else that is wrong.
fn misplaced(key: &str) -> Option<String> {
    match find_key(key) {
        Some(key) if key.secret => {
            Some(format!("{}: a password is not for --set or --settings, put it into the Secret {SECRET}", key.name))
        }
        Some(_) => None,
        None if Group::PREFIXES.iter().any(|prefix| key.starts_with(prefix)) => None,
        None => Some(format!("{key}: is not a setting of the concurrency system; docs/settings.md has them")),
    }
}

fn driver<'a>(
    option: Option<DriverKind>,
    set: &'a BTreeMap<String, String>,
    live: &'a BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> &'a str {
    let (option, key) = (option.map(DriverKind::name), &keys::CONCURRENCY_DRIVER);
    let of = |settings: &'a BTreeMap<String, String>| settings.get(key.name).map(String::as_str);
    if let (Some(option), Some(set)) = (option, of(set))
        && option != set
    {
        problems.push(format!("{key}: --driver says {option}, --set or --settings says {set}"));
    }
    let older = live.get(keys::ETCD_ENABLED.name).is_some_and(|value| is_yes(value));
    let older = older.then_some(DriverKind::Etcd.name());
    of(set).or(option).or(of(live)).or(older).unwrap_or(key.default)
}

/// As the settings have it.
fn is_yes(value: &str) -> bool {
    ["true", "yes", "1"].contains(&value.trim().to_ascii_lowercase().as_str())
}

/// What the watcher will find: the ConfigMap, with all that was said, misspelled or not, and a Secret. What is in that is
/// not known here; a stand-in keeps its absence from being reported.
fn sources<'a>(
    data: &'a [(&'static Key, String)],
    said: impl Iterator<Item = (&'a String, &'a String)>,
    namespace: &str,
) -> Sources {
    let mut found: BTreeMap<&str, &str> = said.map(|(key, value)| (key.as_str(), value.as_str())).collect();
    found.extend(data.iter().map(|(key, value)| (key.name, value.as_str())));
    let (postgresql, etcd) = (keys::POSTGRESQL_PASSWORD.name, keys::ETCD_PASSWORD.name);
    found.extend([(postgresql, ""), (etcd, "")]);
    let logs_in = found.get(keys::ETCD_USERNAME.name).is_some_and(|name| !name.trim().is_empty());
    Sources::new().with_own_config_map(&format!("{namespace}/{CONFIG_MAP}"), found).with_secret(
        &format!("{namespace}/{SECRET}"),
        [(postgresql, "stand-in"), (etcd, if logs_in { "stand-in" } else { "" })],
    )
}

fn store(resolved: &Resolved) -> Store {
    match &resolved.settings.driver {
        DriverSettings::Memory(_) => Store::Memory,
        DriverSettings::Etcd(etcd) if etcd.mode != EtcdMode::Etcd => Store::Memory,
        DriverSettings::PostgreSql(postgresql) => {
            let ports: BTreeSet<u16> = postgresql.servers.iter().map(|server| server.port).collect();
            Store::Server { ports: ports.into_iter().collect(), password: Some(&keys::POSTGRESQL_PASSWORD) }
        }
        DriverSettings::Etcd(etcd) => {
            let mut ports: Vec<u16> = etcd.endpoints.iter().map(|endpoint| endpoint.port).collect();
            ports.sort_unstable();
            ports.dedup();
            let password = etcd.credentials.as_ref().map(|_| &keys::ETCD_PASSWORD);
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

    fn chosen(driver: Option<DriverKind>, set: &[(&str, &str)]) -> Result<Chosen, Vec<String>> {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let options = VariantOptions { driver, set, ..VariantOptions::default() };
        Chosen::of(&options, "ns", &BTreeMap::new()).map(|(chosen, _)| chosen).map_err(|Unusable(problems)| problems)
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let set = [("postgresql-port", "54x32"), ("postgresql-hots", "db"), ("postgresql-password", "x"), ("a", "b")];
        let problems = chosen(Some(DriverKind::PostgreSql), &set).unwrap_err();
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
        let ports = |chosen: Chosen| chosen.store.ports().to_vec();
        assert_eq!(ports(chosen(Some(DriverKind::Etcd), &[]).unwrap()), [2379]);
        assert_eq!(ports(chosen(None, &[("concurrency-driver", "postgresql")]).unwrap()), [5432]);
        assert_eq!(ports(chosen(None, &[]).unwrap()), [0_u16; 0]);
        let problems = chosen(Some(DriverKind::Etcd), &[("concurrency-driver", "memory")]).unwrap_err();
        assert_eq!(problems, ["concurrency-driver: --driver says etcd, --set or --settings says memory"]);
    }

    fn live(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_not_said_anew_stays_as_the_cluster_has_it_and_what_changes_is_told() {
        let now =
            live(&[("concurrency-enabled", "true"), ("concurrency-driver", "postgresql"), ("postgresql-host", "db")]);
        let set = vec![("postgresql-port".to_owned(), "6432".to_owned())];
        let options = VariantOptions { set, ..VariantOptions::default() };
        let (chosen, _) = Chosen::of(&options, "ns", &now).unwrap();
        let value = |name: &str| chosen.data.iter().find(|(key, _)| key.name == name).unwrap().1.as_str();
        let names = ["concurrency-enabled", "concurrency-driver", "postgresql-host", "postgresql-port", "etcd-mode"];
        assert_eq!(names.map(value), ["true", "postgresql", "db", "6432", "etcd"]);
        assert_eq!(chosen.changes(&now), ["postgresql-port: \"5432\" (the default) becomes \"6432\""]);
    }

    #[test]
    fn a_file_of_settings_counts_and_set_wins_over_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings.yaml");
        std::fs::write(&file, "kind: ConfigMap\ndata: {concurrency-driver: etcd, etcd-endpoints: 'a:1'}\n").unwrap();
        let set = vec![("etcd-endpoints".to_owned(), "b:2".to_owned())];
        let options = VariantOptions { settings: Some(file.clone()), set, ..VariantOptions::default() };
        let (chosen, _) = Chosen::of(&options, "ns", &BTreeMap::new()).unwrap();
        assert_eq!(chosen.store.ports(), [2]);
        std::fs::write(&file, "postgresql-hots: db\netcd-password: hunter2\n").unwrap();
        let Unusable(problems) = Chosen::of(&options, "ns", &BTreeMap::new()).unwrap_err();
        assert!(problems[0].starts_with("etcd-password: a password is not") && problems.len() == 2, "{problems:?}");
        assert!(!problems.concat().contains("hunter2"));
        std::fs::write(&file, "a: [").unwrap();
        let Unusable(problems) = Chosen::of(&options, "ns", &BTreeMap::new()).unwrap_err();
        assert!(problems[0].contains("is not YAML"), "{problems:?}");
    }

    #[test]
    fn the_former_store_is_the_clusters_and_the_older_key_counts_there() {
        let options = VariantOptions { driver: Some(DriverKind::PostgreSql), ..VariantOptions::default() };
        let now = live(&[("etcd-enabled", "true"), ("etcd-endpoints", "a:2390")]);
        let (moving, _) = Chosen::of(&options, "ns", &now).unwrap();
        assert_eq!((moving.store.ports(), moving.former.ports()), (&[5432][..], &[2390][..]));
        let (staying, _) = Chosen::of(&VariantOptions::default(), "ns", &now).unwrap();
        assert_eq!((staying.driver(), staying.store.ports()), ("etcd", &[2390][..]));
    }

    #[test]
    fn a_misspelled_key_in_the_cluster_is_found() {
        let Unusable(problems) =
            Chosen::of(&VariantOptions::default(), "ns", &live(&[("postgresql-hots", "db")])).unwrap_err();
        assert!(problems[0].starts_with("postgresql-hots: unknown setting"), "{problems:?}");
    }

    #[test]
    fn the_stores_ports_and_password_are_those_of_its_settings() {
        let set = [("etcd-endpoints", "a:2379,b:2390,c:2379"), ("etcd-username", "pac")];
        let Store::Server { ports, password } = chosen(Some(DriverKind::Etcd), &set).unwrap().store else { panic!() };
        assert_eq!((ports, password.map(|key| key.name)), (vec![2379, 2390], Some("etcd-password")));
        assert_eq!(chosen(Some(DriverKind::Etcd), &[("etcd-mode", "mock")]).unwrap().store, Store::Memory);
    }

    #[test]
    fn certificates_are_taken_to_be_where_the_pod_has_them() {
        let mounted = format!("{TLS_FOLDER}/ca.crt");
        let with = |file: &str| {
            let set = [("postgresql-ssl-mode", "verify-full"), ("postgresql-ssl-ca-file", file)];
            chosen(Some(DriverKind::PostgreSql), &set)
        };
        assert!(with(&mounted).is_ok());
        let problems = with("/home/me/ca.crt").unwrap_err();
        assert!(problems[0].contains(TLS_SECRET), "{problems:?}");
    }
}
