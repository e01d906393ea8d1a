//! Every way in, and which one wins.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a helper fails as its test does")]

mod support;

use pac_config::{DriverSettings, PostgreSqlSettings, Problems, Resolved, Sources, resolve};
use support::{CONFIG_MAP, Files, SECRET, config_map, effective, from_config_map, warnings};

const FILE_VARIABLE: &str = "PAC_POSTGRESQL_PASSWORD_FILE";
const VARIABLE: &str = "PAC_POSTGRESQL_PASSWORD";

fn postgresql(resolved: &Resolved) -> &PostgreSqlSettings {
    match &resolved.settings.driver {
        DriverSettings::PostgreSql(settings) => settings,
        other => panic!("not PostgreSQL: {other:?}"),
    }
}

/// PostgreSQL with a password in some of the ways in: ConfigMap, Secret, file, variable.
fn with_password(ways: [bool; 4]) -> Result<Resolved, Problems> {
    let [config, secret, file, variable] = ways;
    let mut data = vec![("concurrency-driver", "postgresql"), ("postgresql-password", "")];
    if config {
        data[1].1 = "from-config";
    }
    let secrets = if secret { vec![("postgresql-password", "from-secret")] } else { vec![] };
    let mut environment = vec![];
    if file {
        environment.push((FILE_VARIABLE, "/run/password"));
    }
    if variable {
        environment.push((VARIABLE, "from-variable"));
    }
    let sources = config_map(&data).with_secret(SECRET, secrets).with_environment(environment);
    resolve(&sources, &Files::default().with("/run/password", "from-file\n"))
}

#[test]
fn the_first_way_in_that_has_a_value_wins() {
    let ways = [
        ("from-config", "ConfigMap pipelines-as-code/pipelines-as-code"),
        ("from-secret", "Secret pipelines-as-code/pac-concurrency-secret"),
        ("from-file", "file /run/password, named by environment variable PAC_POSTGRESQL_PASSWORD_FILE"),
        ("from-variable", "environment variable PAC_POSTGRESQL_PASSWORD"),
    ];
    for bits in 1..16_u8 {
        let set = [0, 1, 2, 3].map(|way| bits & (1 << way) != 0);
        let winner = set.iter().position(|is_set| *is_set).unwrap();
        let resolved = with_password(set).unwrap();
        assert_eq!(postgresql(&resolved).password.as_ref().unwrap().expose(), ways[winner].0, "{set:?}");
        let shown = effective(&resolved, "postgresql-password");
        assert_eq!(shown, ("********".to_owned(), ways[winner].1.to_owned()), "{set:?}");
    }
}

#[test]
fn the_secrets_key_of_a_password_has_the_name_that_was_set() {
    let data = [("concurrency-driver", "postgresql"), ("postgresql-password-key", "Password")];
    // Of an operator's Secret, which has more that is none of ours.
    let secrets = [("Password", "right"), ("postgresql-password", "wrong"), ("uri", "postgresql://me:right@db")];
    let resolved = resolve(&config_map(&data).with_secret(SECRET, secrets), &Files::default()).unwrap();
    assert_eq!(postgresql(&resolved).password.as_ref().unwrap().expose(), "right");
    let text = pac_config::report(&resolved);
    assert!(!text.contains("right") && !text.contains("did you mean"), "{text}");
    let resolved = resolve(&config_map(&data).with_secret(SECRET, [("other", "x")]), &Files::default()).unwrap();
    assert_eq!(postgresql(&resolved).password, None);
    assert!(warnings(&resolved).iter().any(|text| text.contains("in the Secret (key Password)")));
    let data = [("concurrency-driver", "postgresql"), ("postgresql-password-key", "a/b")];
    let problems = pac_config::problems_report(&resolve(&config_map(&data), &Files::default()).unwrap_err());
    assert!(problems.contains("\"a/b\" is not a key of a Secret"), "{problems}");
}

#[test]
fn nobody_says_anything() {
    let resolved = with_password([false; 4]).unwrap();
    assert_eq!(postgresql(&resolved).password, None);
    assert_eq!(effective(&resolved, "postgresql-password"), ("(not set)".to_owned(), "default".to_owned()));
    assert_eq!(
        warnings(&resolved),
        ["postgresql-password: is not set in the Secret, PAC_POSTGRESQL_PASSWORD_FILE or PAC_POSTGRESQL_PASSWORD; \
          connecting without a password"]
    );
}

#[test]
fn a_password_in_the_config_map_gets_a_warning() {
    assert_eq!(
        warnings(&with_password([true, true, false, false]).unwrap()),
        ["postgresql-password: is in plain text in ConfigMap pipelines-as-code/pipelines-as-code; put it into the \
          Secret or into a file named by PAC_POSTGRESQL_PASSWORD_FILE. The one in Secret \
          pipelines-as-code/pac-concurrency-secret is not used"]
    );
}

#[test]
fn a_password_in_the_secret_alone_gets_none() {
    assert!(with_password([false, true, false, false]).unwrap().warnings.is_empty());
}

#[test]
fn a_file_wins_over_its_variable_with_a_warning() {
    assert_eq!(
        warnings(&with_password([false, false, true, true]).unwrap()),
        ["postgresql-password: PAC_POSTGRESQL_PASSWORD_FILE and PAC_POSTGRESQL_PASSWORD are both set; the file wins"]
    );
}

#[test]
fn a_variable_that_loses_with_another_value_gets_a_warning() {
    let sources = config_map(&[("memory-lease-ttl", "1m")]);
    let loses = sources.clone().with_environment([("PAC_MEMORY_LEASE_TTL", "2m")]);
    assert_eq!(
        warnings(&resolve(&loses, &Files::default()).unwrap()),
        ["memory-lease-ttl: ConfigMap pipelines-as-code/pipelines-as-code wins over environment variable \
          PAC_MEMORY_LEASE_TTL"]
    );
    let agrees = sources.with_environment([("PAC_MEMORY_LEASE_TTL", "1m")]);
    assert!(resolve(&agrees, &Files::default()).unwrap().warnings.is_empty());
}

#[test]
fn a_password_is_used_to_the_byte() {
    for password in [" spaces ", "ünï", "a\tb", "'\"$%@:/?#&=\\", "   "] {
        let sources = config_map(&[("concurrency-driver", "postgresql")])
            .with_secret(SECRET, [("postgresql-password", password)]);
        let resolved = resolve(&sources, &Files::default()).unwrap();
        assert_eq!(postgresql(&resolved).password.as_ref().unwrap().expose(), password);
    }
}

#[test]
fn a_line_break_at_the_end_of_a_secret_stays_with_a_warning() {
    let sources =
        config_map(&[("concurrency-driver", "postgresql")]).with_secret(SECRET, [("postgresql-password", "hunter2\n")]);
    let resolved = resolve(&sources, &Files::default()).unwrap();
    assert_eq!(postgresql(&resolved).password.as_ref().unwrap().expose(), "hunter2\n");
    assert_eq!(
        warnings(&resolved),
        ["postgresql-password: ends with a line break in Secret pipelines-as-code/pac-concurrency-secret, which is \
          used as part of the password; if that was not meant, write it without (echo -n)"]
    );
}

#[test]
fn a_file_loses_one_line_break_and_no_more() {
    for (content, password) in [("a", "a"), ("a\n", "a"), ("a\r\n", "a"), ("a\n\n", "a\n"), (" a \n", " a ")] {
        let sources =
            config_map(&[("concurrency-driver", "postgresql")]).with_environment([(FILE_VARIABLE, "/run/password")]);
        let resolved = resolve(&sources, &Files::default().with("/run/password", content)).unwrap();
        assert_eq!(postgresql(&resolved).password.as_ref().unwrap().expose(), password, "{content:?}");
    }
}

#[test]
fn other_values_are_trimmed() {
    let data = [("concurrency-driver", " postgresql\n"), ("postgresql-host", "  db "), ("postgresql-port", "\t1\n")];
    let resolved = from_config_map(&data).unwrap();
    assert_eq!(postgresql(&resolved).servers[0].to_string(), "db:1");
}

#[test]
fn an_empty_value_is_no_value() {
    let sources = config_map(&[("memory-lease-ttl", "  ")])
        .with_secret(SECRET, [("memory-lease-ttl", "")])
        .with_environment([("PAC_MEMORY_LEASE_TTL_FILE", ""), ("PAC_MEMORY_LEASE_TTL", "45s")]);
    let resolved = resolve(&sources, &Files::default()).unwrap();
    let expected = ("45s".to_owned(), "environment variable PAC_MEMORY_LEASE_TTL".to_owned());
    assert_eq!(effective(&resolved, "memory-lease-ttl"), expected);
}

#[test]
fn any_key_may_be_in_the_secret_or_the_environment() {
    let sources = Sources::new()
        .with_secret(SECRET, [("concurrency-driver", "postgresql"), ("postgresql-host", "db")])
        .with_environment([("PAC_POSTGRESQL_DATABASE", "queues"), ("PAC_CONCURRENCY_ENABLED", "yes")]);
    let resolved = resolve(&sources, &Files::default()).unwrap();
    assert!(resolved.settings.enabled);
    assert_eq!(postgresql(&resolved).servers[0].host, "db");
    assert_eq!(postgresql(&resolved).database, "queues");
}

#[test]
fn a_service_of_kubernetes_is_not_taken_for_a_setting() {
    let sources = Sources::new().with_environment([
        ("PAC_POSTGRESQL_PORT", "tcp://10.0.0.1:5432"),
        ("PAC_POSTGRESQL_SERVICE_HOST", "10.0.0.1"),
        ("PAC_POSTGRESQL_PORT_5432_TCP_ADDR", "10.0.0.1"),
        ("PAC_CONCURRENCY_DRIVER", "postgresql"),
    ]);
    let resolved = resolve(&sources, &Files::default()).unwrap();
    assert_eq!(postgresql(&resolved).servers[0].port, 5432);
    assert_eq!(resolved.warnings.len(), 1, "only the missing password");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_a_problem() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    let value = OsString::from_vec(b"caf\xe9".to_vec());
    let sources = Sources::new().with_environment([("PAC_MEMORY_LEASE_TTL", value)]);
    assert_eq!(
        resolve(&sources, &Files::default()).unwrap_err().to_string(),
        "memory-lease-ttl: is not UTF-8 text (from environment variable PAC_MEMORY_LEASE_TTL)"
    );
}

#[test]
fn a_later_config_map_replaces_the_earlier_one() {
    let sources = config_map(&[("memory-lease-ttl", "1m")]).with_config_map(CONFIG_MAP, [("memory-lease-ttl", "2m")]);
    let resolved = resolve(&sources, &Files::default()).unwrap();
    assert_eq!(effective(&resolved, "memory-lease-ttl").0, "2m");
}

const OWN: &str = "pipelines-as-code/pac-concurrency";

#[test]
fn our_own_config_map_wins_over_pacs_and_both_are_read() {
    let sources = config_map(&[
        ("concurrency-enabled", "false"),
        ("concurrency-driver", "memory"),
        ("memory-lease-ttl", "1h"),
        ("application-name", "CI"),
    ]);
    let own = [("concurrency-enabled", "true"), ("concurrency-driver", " memory "), ("memory-lease-ttl", "")];
    let resolved = resolve(&sources.with_own_config_map(OWN, own), &Files::default()).unwrap();
    assert!(resolved.settings.enabled);
    let enabled = ("true".to_owned(), format!("ConfigMap {OWN}"));
    assert_eq!(effective(&resolved, "concurrency-enabled"), enabled);
    // An empty value is none.
    assert_eq!(effective(&resolved, "memory-lease-ttl"), ("1h".to_owned(), format!("ConfigMap {CONFIG_MAP}")));
    let overridden = "concurrency-enabled: ConfigMap pipelines-as-code/pac-concurrency wins over ConfigMap \
                      pipelines-as-code/pipelines-as-code, which says something else";
    assert_eq!(warnings(&resolved), [overridden]);
}

#[test]
fn a_misspelled_key_is_found_in_our_own_config_map_too() {
    let sources = Sources::new().with_own_config_map(OWN, [("postgresql-hots", "db")]);
    let problem = resolve(&sources, &Files::default()).unwrap_err().to_string();
    assert!(problem.contains("did you mean postgresql-host?") && problem.contains(OWN), "{problem}");
}

#[test]
fn settings_that_vanish_from_a_config_map_are_noticed_and_settings_that_move_are_not() {
    let keys = [("concurrency-enabled", "true"), ("postgresql-host", "db")];
    let pacs = |keys: &[(&str, &str)]| config_map(&[&[("application-name", "CI")], keys].concat());
    let vanished = |now: Sources, before: &Sources| now.vanished_since(before).map(|origin| origin.to_string());
    let in_pacs = Some(format!("ConfigMap {CONFIG_MAP}"));
    let in_ours = Some(format!("ConfigMap {OWN}"));

    assert_eq!(vanished(pacs(&[]), &pacs(&keys)), in_pacs);
    assert_eq!(vanished(Sources::new(), &pacs(&keys)), in_pacs, "deleted");
    assert_eq!(vanished(pacs(&[("concurrency-enabled", "")]), &pacs(&keys)), in_pacs, "an empty value is none");
    assert_eq!(vanished(pacs(&keys[..1]), &pacs(&keys)), None, "one that is left says that somebody knows of them");
    assert_eq!(vanished(pacs(&[]), &pacs(&[])), None);

    let both = || pacs(&keys).with_own_config_map(OWN, keys);
    assert_eq!(vanished(pacs(&[]).with_own_config_map(OWN, keys), &pacs(&keys)), None, "moved to ours");
    assert_eq!(vanished(pacs(&[]).with_own_config_map(OWN, keys), &both()), None, "ours counted before");
    assert_eq!(vanished(pacs(&keys), &both()), None, "PAC's says the same");
    assert_eq!(vanished(pacs(&[("concurrency-enabled", "false")]), &both()), in_ours, "PAC's says something else");
}
