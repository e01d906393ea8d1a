//! The stores that are measured, each a server of its own as it is run in production: what it says is on disk, is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use etcd_client::{Client, GetOptions};
use pac_concurrency::Driver;
use pac_config::{Disk, DriverKind, DriverSettings, Key, Sources, SslMode, keys, resolve};
use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::{PASSWORD, Postgres};
use pac_driver_etcd::EtcdDriver;
use pac_driver_mem::MemDriver;
use pac_driver_pg::PgDriver;

/// A store, and its server if it has one.
#[derive(Debug)]
pub(crate) enum Server {
    Postgresql(Postgres),
    Etcd(Etcd),
    Memory,
}

/// What a server has counted since it was started.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// Transactions, each of which was one question and one answer.
    pub(crate) transactions: f64,
    /// Times it waited until its log was on disk.
    pub(crate) fsyncs: f64,
}

// === impl Server ===

impl Server {
    /// Starts one and waits until it serves: an etcd takes connections before it has a leader.
    pub(crate) async fn start(kind: DriverKind) -> Result<Self> {
        let server = match kind {
            DriverKind::PostgreSql => Self::Postgresql(Postgres::start()?),
            DriverKind::Etcd => Self::Etcd(Etcd::start()?),
            DriverKind::Memory => Self::Memory,
        };
        let began = Instant::now();
        while let Err(error) = server.serves().await {
            if began.elapsed() > Duration::from_secs(30) {
                return Err(error.context(format!("{} doesn't serve", kind.name())));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    async fn serves(&self) -> Result<()> {
        if let Self::Etcd(server) = self {
            Client::connect([format!("http://127.0.0.1:{}", server.port())], None).await?.get("/", None).await?;
        }
        Ok(())
    }

    /// Which driver it is for.
    fn kind(&self) -> DriverKind {
        match self {
            Self::Postgresql(_) => DriverKind::PostgreSql,
            Self::Etcd(_) => DriverKind::Etcd,
            Self::Memory => DriverKind::Memory,
        }
    }

    /// The settings a watcher needs for it, but for the password.
    pub(crate) fn settings(&self) -> Vec<(&'static Key, String)> {
        let mut settings = vec![(&keys::CONCURRENCY_DRIVER, self.kind().to_string())];
        match self {
            Self::Postgresql(server) => settings.extend([
                (&keys::POSTGRESQL_HOST, "127.0.0.1".to_owned()),
                (&keys::POSTGRESQL_PORT, server.port().to_string()),
                (&keys::POSTGRESQL_SSL_MODE, SslMode::Disable.name().to_owned()),
            ]),
            Self::Etcd(server) => {
                settings.push((&keys::ETCD_ENDPOINTS, format!("http://127.0.0.1:{}", server.port())));
            }
            Self::Memory => {}
        }
        settings
    }

    /// A driver on it, as the watcher would make it.
    pub(crate) async fn driver(&self) -> Result<Arc<dyn Driver>> {
        let settings = self.settings();
        let given = settings.iter().map(|(key, value)| (*key, value.as_str()));
        let given = given.chain([(&keys::POSTGRESQL_PASSWORD, PASSWORD)]);
        let resolved = resolve(&Sources::new().with_config_map("bench", given), &Disk)?;
        Ok(match resolved.settings.driver {
            DriverSettings::PostgreSql(settings) => Arc::new(PgDriver::connect(&settings).await?),
            DriverSettings::Etcd(settings) => Arc::new(EtcdDriver::connect(&settings).await?),
            DriverSettings::Memory(settings) => Arc::new(MemDriver::new(settings.lease_ttl)),
        })
    }

    /// What it has counted. PostgreSQL knows for certain only once nobody is connected any more.
    pub(crate) async fn counted(&self) -> Result<Counted> {
        match self {
            Self::Postgresql(server) => {
                until_alone(server).await?;
                let ask = |statement: &str| -> Result<f64> { Ok(server.administer(statement)?.parse()?) };
                // Where this is counted depends on the version.
                let has = |table: &str, column: &str| {
                    let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name";
                    ask(&format!("{columns} = '{table}' AND column_name = '{column}'")).map(|count| count > 0.0)
                };
                let fsyncs = if has("pg_stat_wal", "wal_sync")? {
                    ask("SELECT wal_sync FROM pg_stat_wal")?
                } else if has("pg_stat_io", "object")? {
                    ask("SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'")?
                } else {
                    f64::NAN
                };
                let database = "pg_stat_database WHERE datname = 'pac_concurrency'";
                Ok(Counted { transactions: ask(&format!("SELECT xact_commit FROM {database}"))?, fsyncs })
            }
            Self::Etcd(server) => {
                let metrics = ureq::get(&format!("http://127.0.0.1:{}/metrics", server.port())).call()?;
                Ok(Counted::of_etcd(&metrics.into_body().read_to_string()?))
            }
            Self::Memory => Ok(Counted::default()),
        }
    }

    /// How many runs wait in it; none where nobody but the watcher knows.
    pub(crate) async fn waiting(&self) -> Result<Option<usize>> {
        Ok(match self {
            Self::Postgresql(server) => {
                let count = "SELECT count(*) FROM pac_concurrency.waiting";
                Some(server.administer_in("pac_concurrency", count)?.parse()?)
            }
            Self::Etcd(server) => {
                let mut client = Client::connect([format!("http://127.0.0.1:{}", server.port())], None).await?;
                let options = GetOptions::new().with_prefix().with_count_only();
                let answer = client.get("/pac/concurrency/v2/queue/", Some(options)).await?;
                Some(usize::try_from(answer.count())?)
            }
            Self::Memory => None,
        })
    }

    /// Rows or keys written so far, besides leases, as the server counts them, see [`Server::counts_after`]; none where
    /// nobody counts.
    pub(crate) fn writes(&self) -> Result<Option<f64>> {
        match self {
            Self::Postgresql(server) => {
                let tables = "FROM pg_stat_user_tables WHERE schemaname = 'pac_concurrency' AND relname <> 'leases'";
                let sum = format!("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) {tables}");
                Ok(Some(server.administer_in("pac_concurrency", &sum)?.parse()?))
            }
            Self::Etcd(server) => {
                let metrics = ureq::get(&format!("http://127.0.0.1:{}/metrics", server.port())).call()?;
                let metrics = metrics.into_body().read_to_string()?;
                let count = |name: &str| metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
                let counts =
                    ["etcd_mvcc_put_total ", "etcd_mvcc_delete_total "].map(|name| count(name).unwrap_or(f64::NAN));
                Ok(Some(counts.iter().sum()))
            }
            Self::Memory => Ok(None),
        }
    }

    /// How long after a write it is in [`Server::writes`] for certain: PostgreSQL's processes tell when they are idle.
    pub(crate) fn counts_after(&self) -> Duration {
        Duration::from_secs(if matches!(self, Self::Postgresql(_)) { 11 } else { 1 })
    }

    /// Which server it is, and its version.
    pub(crate) async fn version(&self) -> Result<String> {
        Ok(self.driver().await?.check().await?.server)
    }
}

async fn until_alone(server: &Postgres) -> Result<()> {
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pac_user'";
    for _ in 0..200 {
        if server.administer(connected)? == "0" {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("connections to PostgreSQL stay open")
}

// === impl Counted ===

impl Counted {
    /// What was counted between `earlier` and this.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { transactions: self.transactions - earlier.transactions, fsyncs: self.fsyncs - earlier.fsyncs }
    }

    fn of_etcd(metrics: &str) -> Self {
        let mut counted = Self::default();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or_default();
            if name.starts_with("grpc_server_handled_total{") && name.contains("grpc_service=\"etcdserverpb.KV\"") {
                counted.transactions += value;
            } else if name == "etcd_disk_wal_fsync_duration_seconds_count" {
                counted.fsyncs += value;
            }
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcds_own_counts_are_read() {
        let counted = Counted::of_etcd(
            "# HELP grpc_server_handled_total x\n\
             grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Txn\",grpc_service=\"etcdserverpb.KV\"} 40\n\
             grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"Range\",grpc_service=\"etcdserverpb.KV\"} 2\n\
             grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"X\",grpc_service=\"etcdserverpb.Lease\"} 9\n\
             etcd_disk_wal_fsync_duration_seconds_count 7\n",
        );
        assert_eq!((counted.transactions, counted.fsyncs), (42.0, 7.0));
    }
}
