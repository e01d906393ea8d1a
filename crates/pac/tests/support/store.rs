//! A server that keeps slots and queues.

use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::{OpenTransaction, PASSWORD, Postgres};
use serde_json::{Value, json};

/// One of the servers there are drivers for.
pub(crate) enum Store {
    Postgres(Postgres),
    Etcd(Etcd),
}

/// How many slots and waiting entries there are, in PostgreSQL.
const ROWS: &str =
    "SELECT (SELECT count(*) FROM pac_concurrency.slots) + (SELECT count(*) FROM pac_concurrency.waiting)";

/// How many schemas of ours there are in PostgreSQL.
const SCHEMAS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'pac_concurrency'";

// === impl Store ===

impl Store {
    pub(crate) fn postgresql() -> Self {
        Self::Postgres(Postgres::start().unwrap())
    }

    pub(crate) fn etcd() -> Self {
        Self::Etcd(Etcd::start().unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Postgres(server) => server.port(),
            Self::Etcd(server) => server.port(),
        }
    }

    /// A new one of the same kind.
    pub(crate) fn another(&self) -> Self {
        match self {
            Self::Postgres(_) => Self::postgresql(),
            Self::Etcd(_) => Self::etcd(),
        }
    }

    /// What a ConfigMap says to have a watcher use it.
    pub(crate) fn settings(&self) -> Value {
        self.settings_through(self.port())
    }

    /// The same, by way of another port.
    pub(crate) fn settings_through(&self, port: u16) -> Value {
        match self {
            Self::Postgres(_) => postgresql_settings(port),
            Self::Etcd(_) => {
                json!({"concurrency-driver": "etcd", "etcd-endpoints": format!("http://127.0.0.1:{port}")})
            }
        }
    }

    /// Opens a transaction in PostgreSQL, as the superuser, until what is returned is dropped.
    pub(crate) fn open_transaction(&self) -> OpenTransaction {
        let Self::Postgres(server) = self else { panic!("only PostgreSQL has them") };
        server.open_transaction("pac_concurrency", "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").unwrap()
    }

    /// Takes the connection that listens from the one watcher on PostgreSQL, which gets no other while `none` is left.
    pub(crate) fn leave_none_to_listen_on(&self, none: bool) {
        let Self::Postgres(server) = self else { panic!("only PostgreSQL has one") };
        let administer = |statement: &str| server.administer_in("pac_concurrency", statement).unwrap();
        let backends = "FROM pg_stat_activity WHERE usename = 'pac_user'";
        let limit = if none { administer(&format!("SELECT count(*) - 1 {backends}")) } else { "-1".to_owned() };
        administer(&format!("ALTER USER pac_user CONNECTION LIMIT {limit}"));
        if none {
            administer(&format!("SELECT pg_terminate_backend(pid) {backends} AND query ~ '^LISTEN'"));
        }
    }

    pub(crate) fn kill(&mut self) {
        match self {
            Self::Postgres(server) => server.kill().unwrap(),
            Self::Etcd(server) => server.kill().unwrap(),
        }
    }

    pub(crate) fn restart(&mut self) {
        match self {
            Self::Postgres(server) => server.restart().unwrap(),
            Self::Etcd(server) => server.restart().unwrap(),
        }
    }

    /// Whether there is nothing of ours, be it empty.
    pub(crate) fn is_untouched(&self) -> bool {
        match self {
            Self::Postgres(server) => server.administer_in("pac_concurrency", SCHEMAS).unwrap() == "0",
            Self::Etcd(server) => server.control(&["get", "--prefix", "--keys-only", "/pac/"]).unwrap().is_empty(),
        }
    }

    /// Whether it has no slot and nobody waiting.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Postgres(server) => server.administer_in("pac_concurrency", ROWS).unwrap() == "0",
            Self::Etcd(server) => ["slot", "queue"].iter().all(|kind| {
                let prefix = format!("/pac/concurrency/v2/{kind}");
                server.control(&["get", "--prefix", "--keys-only", &prefix]).unwrap().is_empty()
            }),
        }
    }
}

/// What a ConfigMap says to have a watcher use PostgreSQL at this port.
pub(crate) fn postgresql_settings(port: u16) -> Value {
    settings_of_several([port])
}

/// The same for several servers, at these ports.
pub(crate) fn settings_of_several(ports: impl IntoIterator<Item = u16>) -> Value {
    let ports: Vec<String> = ports.into_iter().map(|port| port.to_string()).collect();
    json!({
        "concurrency-driver": "postgresql",
        "postgresql-host": vec!["127.0.0.1"; ports.len()].join(","),
        "postgresql-port": ports.join(","),
        "postgresql-ssl-mode": "disable",
        "postgresql-password": PASSWORD,
    })
}
