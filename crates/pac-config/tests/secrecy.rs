//! No text ever holds a password, and no text ever panics.

mod support;

use std::path::Path;

use pac_config::{Problems, Resolved, Sources, keys, problems_report, report, resolve};
use proptest::prelude::*;
use support::{CONFIG_MAP, Files, SECRET};

/// Long enough that it can't turn up by chance.
const PASSWORD: &str = "hunter2-correct-horse";

/// Everything a person or a log could get to see.
fn all_texts(sources: &Sources, outcome: &Result<Resolved, Problems>) -> String {
    let shown = match outcome {
        Ok(resolved) => {
            let warnings: Vec<_> = resolved.warnings.iter().map(ToString::to_string).collect();
            format!("{}\n{}", report(resolved), warnings.join("\n"))
        }
        Err(problems) => format!("{problems}\n{}", problems_report(problems)),
    };
    format!("{sources:?}\n{outcome:?}\n{outcome:#?}\n{shown}")
}

fn assert_hidden(sources: &Sources, files: &Files) {
    let outcome = resolve(sources, files);
    let texts = all_texts(sources, &outcome);
    assert!(!texts.contains(PASSWORD), "{texts}");
}

#[test]
fn a_password_is_shown_by_no_way_in() {
    let files = Files::default().with("/run/password", PASSWORD);
    for driver in ["postgresql", "etcd", "memory", "redis"] {
        for key in ["postgresql-password", "etcd-password"] {
            for ending in ["", "\n", "\0"] {
                let value = format!("{PASSWORD}{ending}");
                let base = [("concurrency-driver", driver), ("etcd-username", "root")];
                let base = Sources::new()
                    .with_environment([("PAC_CONCURRENCY_DRIVER", driver)])
                    .with_config_map(CONFIG_MAP, base);
                assert_hidden(&base.clone().with_config_map(CONFIG_MAP, [(key, value.clone())]), &files);
                assert_hidden(&base.clone().with_secret(SECRET, [(key, value.clone())]), &files);
                let variable = format!("PAC_{}", key.to_uppercase().replace('-', "_"));
                assert_hidden(&base.clone().with_environment([(variable.clone(), value.clone())]), &files);
                let both = [(variable.clone(), value), (format!("{variable}_FILE"), "/run/password".to_owned())];
                assert_hidden(&base.with_environment(both), &files);
            }
        }
    }
}

#[test]
fn a_password_under_a_misspelled_key_is_not_shown() {
    for key in ["postgresql-pasword", "postgres-password", "etcd-secret", "Postgresql-Password", "password"] {
        assert_hidden(&Sources::new().with_config_map(CONFIG_MAP, [(key, PASSWORD)]), &Files::default());
        assert_hidden(&Sources::new().with_secret(SECRET, [(key, PASSWORD)]), &Files::default());
        let variable = format!("PAC_{}", key.to_uppercase().replace('-', "_"));
        assert_hidden(&Sources::new().with_environment([(variable, PASSWORD)]), &Files::default());
    }
}

#[test]
fn a_password_inside_a_url_is_not_shown() {
    for key in keys().filter(|key| !key.secret) {
        for value in [
            format!("postgres://me:{PASSWORD}@db/x"),
            format!("https://me:{PASSWORD}@db:1"),
            format!("a:1,http://me:{PASSWORD}@db:1"),
            format!("me:{PASSWORD}@db"),
            format!("host=db password={PASSWORD}"),
            format!("jdbc:postgresql://db?user=me&password={PASSWORD}"),
        ] {
            for driver in ["postgresql", "etcd"] {
                let data = [("concurrency-driver", driver), (key.name, value.as_str())];
                let sources = Sources::new().with_config_map(CONFIG_MAP, data);
                let outcome = resolve(&sources, &Files::default());
                // Typed settings that took it as it is, such as a user's name, hold it.
                if let Err(problems) = &outcome {
                    assert!(!format!("{problems}{problems:?}").contains(PASSWORD), "{problems}");
                }
                if let Ok(resolved) = &outcome {
                    assert!(!report(resolved).contains(PASSWORD), "{}", report(resolved));
                }
            }
        }
    }
}

#[test]
fn a_broken_file_shows_no_password() {
    for content in [
        format!("postgresql-password: *{PASSWORD}\n"),
        format!("postgresql-password: !{PASSWORD} x\n"),
        format!("postgresql-password: [{PASSWORD}\n"),
        format!("postgresql-password: \"{PASSWORD}\n"),
        format!("postgresql-password: '{PASSWORD}': x\n"),
        format!("postgresql-password: {PASSWORD}: x\n"),
        format!("postgresql-password: %{PASSWORD}\n"),
        format!("postgresql-password: {PASSWORD}\npostgresql-password: {PASSWORD}\n"),
        format!("{PASSWORD}\n"),
        format!("kind: Secret\ndata:\n  etcd-password: {PASSWORD}\n"),
        format!("kind: Secret\nstringData:\n  etcd-password: {{{PASSWORD}: x}}\n"),
    ] {
        let files = Files::default().with("f.yaml", content);
        assert_hidden(&Sources::new().with_local_file(Path::new("f.yaml"), &files), &files);
    }
}

/// Any key of ours, or a name near one.
fn any_key() -> impl Strategy<Value = String> {
    let ours = proptest::sample::select(keys().map(|key| key.name.to_owned()).collect::<Vec<_>>());
    prop_oneof![ours, "(postgresql|etcd|memory|concurrency)-[a-z-]{0,12}", "\\PC{0,50}"]
}

/// Any text, or text made of what settings are made of.
fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![".{0,80}", "[0-9hms]{0,30}", "(https?://)?[a-z0-9:@/,.\\[\\]-]{0,40}", "\\PC*"]
}

proptest! {
    #[test]
    fn any_text_for_any_key_never_panics_and_never_leaks(
        data in proptest::collection::btree_map(any_key(), any_value(), 0..6),
        driver in proptest::sample::select(vec!["postgresql", "etcd", "memory", "", "x"]),
        key in proptest::sample::select(vec!["postgresql-password", "etcd-password"]),
        before in "\\PC{0,10}",
        after in ".{0,10}",
    ) {
        let mut config = data.clone();
        config.remove(key);
        config.insert("concurrency-driver".to_owned(), driver.to_owned());
        let environment = data.iter().filter(|(name, value)| !name.contains('\0') && !value.contains('\0'));
        let environment = environment.map(|(name, value)| (format!("PAC_{}", name.to_uppercase().replace('-', "_")), value));
        let sources = Sources::new()
            .with_config_map(CONFIG_MAP, config)
            .with_secret(SECRET, [(key, format!("{before}{PASSWORD}{after}"))])
            .with_environment(environment);
        assert_hidden(&sources, &Files::default());
    }

    #[test]
    fn any_file_never_panics(content in any_value(), key in any_key(), value in any_value()) {
        for text in [content.clone(), format!("{key}: {value}\n{content}"), format!("kind: Secret\ndata:\n  {key}: {value}\n")] {
            let files = Files::default().with("f.yaml", text);
            let sources = Sources::new().with_local_file(Path::new("f.yaml"), &files);
            all_texts(&sources, &resolve(&sources, &files));
        }
    }

    #[test]
    fn any_bytes_of_a_secret_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40), key in any_key()) {
        let sources = Sources::new().with_secret(SECRET, [(key, bytes)]);
        all_texts(&sources, &resolve(&sources, &Files::default()));
    }
}
