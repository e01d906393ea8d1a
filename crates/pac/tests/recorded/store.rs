//! The store of a recording: all that a watcher keeps in it, as text.

use std::collections::BTreeMap;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pac_devservers::etcd::Etcd;
use pac_devservers::find;
use pac_devservers::postgres::{PASSWORD, Postgres};
use serde_json::Value;

use crate::support::{Store, eventually};

/// For how long the lease of the watcher that was killed goes on, in seconds.
const LEASE: u32 = 3;
const HOLDERS: &str = "/pac/concurrency/v2/holder/";

/// All there is: statements for PostgreSQL, and for etcd one JSON object of keys and values.
pub(super) fn text(store: &Store) -> String {
    match store {
        Store::Postgres(server) => statements(server),
        Store::Etcd(server) => serde_json::to_string_pretty(&pairs(server)).unwrap() + "\n",
    }
}

/// Puts all of it into an empty store. Whoever holds slots died a moment ago.
pub(super) fn bring_back(store: &Store, text: &str) {
    match store {
        Store::Postgres(server) => {
            let lease = format!("UPDATE pac_concurrency.leases SET expires_at = now() + interval '{LEASE} seconds'");
            let all = format!("SET ROLE pac_user;\n{text}{lease};");
            server.administer_in("pac_concurrency", &all).unwrap();
        }
        Store::Etcd(server) => {
            let granted = server.control(&["lease", "grant", &LEASE.to_string()]).unwrap();
            let lease = format!("--lease={}", granted.split(' ').nth(1).unwrap());
            let pairs: BTreeMap<String, String> = serde_json::from_str(text).unwrap();
            for (key, value) in &pairs {
                let lease = key.starts_with(HOLDERS).then_some(lease.as_str());
                let arguments: Vec<&str> = ["put", key, value].into_iter().chain(lease).collect();
                server.control(&arguments).unwrap();
            }
        }
    }
}

/// Waits until the lease of whoever died has run out.
pub(crate) fn lease_runs_out(store: &Store) {
    eventually("the lease runs out", || match store {
        Store::Postgres(server) => {
            let leases =
                "SELECT count(*) FROM pac_concurrency.leases WHERE holder LIKE 'third:%' AND expires_at > now()";
            server.administer_in("pac_concurrency", leases).unwrap() == "0"
        }
        Store::Etcd(server) => {
            let prefix = format!("{HOLDERS}third:");
            server.control(&["get", "--prefix", "--keys-only", &prefix]).unwrap().is_empty()
        }
    });
}

/// What pg_dump says, without what depends on its version.
fn statements(server: &Postgres) -> String {
    let mut dump = Command::new(find("pg_dump").expect("pg_dump: apt-get install postgresql-client"));
    dump.args(["--host=127.0.0.1", "--username=pac_user", "--dbname=pac_concurrency", "--schema=pac_concurrency"]);
    dump.args(["--inserts", "--no-owner", "--no-privileges", &format!("--port={}", server.port())]);
    let output = dump.env("PGPASSWORD", PASSWORD).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is_of_pg_dump = |line: &&str| {
        let of_pg_dump = ["--", "SET ", "SELECT pg_catalog.set_config(", "\\"];
        of_pg_dump.iter().any(|start| line.starts_with(start))
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().filter(|line| !is_of_pg_dump(line)).collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n").trim().to_owned() + "\n"
}

/// All keys of a watcher's, and their values.
pub(super) fn pairs(server: &Etcd) -> BTreeMap<String, String> {
    let answer = server.control(&["get", "--prefix", "/pac/", "--write-out=json"]).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    // A value with nothing in it is left out.
    let text = |value: &Value| String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()).unwrap();
    let pairs = answer["kvs"].as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect()
}
