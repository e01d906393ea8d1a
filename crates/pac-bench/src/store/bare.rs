//! The servers' own limit: the same two transactions, one that takes a slot and one that gives it back, with nothing of
//! ours in between. Each client has a repository of its own, so that none waits for another's row.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use etcd_client::{Client, Compare, CompareOp, Txn, TxnOp};
use pac_concurrency::{Delta, Driver, Entry, Holder, OrderKey, RepositoryKey, RunKey, Version};
use pac_devservers::etcd::Etcd;
use pac_devservers::postgres::{PASSWORD, Postgres, find_program};
use tokio::task::JoinSet;

use super::server::Server;

/// What pgbench does over and over. A commit that is refused leaves no place, without which the next is an error, and ends it.
const SCRIPT: &str = r"
\set n :n + 1
\set taken random(1, 9000000000000000000)
\set given random(1, 9000000000000000000)
SELECT pac_concurrency.commit_at(:place, 'bare/repository-' || :client_id::text, :version, :taken, 'bare:0123456789abcdef',
    ARRAY['hold'], ARRAY['bare'], ARRAY['run-' || :n::text], ARRAY['00000000-0000-4000-8000-000000000000'],
    ARRAY[:n::bigint], ARRAY[0::bigint], ARRAY[:n::bigint]) AS place \gset
SELECT pac_concurrency.commit_at(:place, 'bare/repository-' || :client_id::text, :taken, :given, 'bare:0123456789abcdef',
    ARRAY['release'], ARRAY['bare'], ARRAY['run-' || :n::text], ARRAY['00000000-0000-4000-8000-000000000000'],
    ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint]) AS place \gset
\set version :given
";

/// Pairs a second without anything of ours, for `time`. `clients`: connections, or tasks on one.
pub(super) async fn pairs_per_second(server: &Server, clients: usize, time: Duration) -> Result<f64> {
    match server {
        Server::Postgresql(server) => pgbench(server, clients, time),
        Server::Etcd(server) => etcd(server, clients, time).await,
        Server::Memory => memory(server.driver().await?, clients, time).await,
    }
}

fn pgbench(server: &Postgres, clients: usize, time: Duration) -> Result<f64> {
    // Its clients' repositories are new to it each time.
    for table in ["repositories", "slots", "waiting"] {
        server.administer_in(
            "pac_concurrency",
            &format!("DELETE FROM pac_concurrency.{table} WHERE repository LIKE 'bare/%'"),
        )?;
    }
    let script = tempfile::NamedTempFile::new()?;
    std::fs::write(script.path(), SCRIPT)?;
    let program = find_program("pgbench").context("pgbench is missing; install it with: apt-get install postgresql")?;
    let mut command = Command::new(program);
    command.env("PGPASSWORD", PASSWORD).args(["-h", "127.0.0.1", "-p", &server.port().to_string()]);
    command.args(["-U", "pac_user", "-n", "-M", "prepared", "-j", "2", "-D", "n=0"]);
    command.args(["-D", "version=0", "-D", "place=(0,0)"]);
    command.args(["-c", &clients.to_string(), "-T", &time.as_secs().max(1).to_string(), "-f"]).arg(script.path());
    let output = command.arg("pac_concurrency").stdin(Stdio::null()).output()?;
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("pgbench: {}", complained.trim());
    }
    let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    tps.with_context(|| format!("pgbench said no tps: {said}"))
}

async fn etcd(server: &Etcd, tasks: usize, time: Duration) -> Result<f64> {
    let client = Client::connect([format!("http://127.0.0.1:{}", server.port())], None).await?;
    let began = Instant::now();
    let mut all = JoinSet::new();
    for task in 0..tasks {
        let mut kv = client.kv_client();
        all.spawn(async move {
            let (version_key, mut version, mut pairs) = (format!("/bare/v2/version/bare/repository-{task:04}"), 0, 0);
            // Where an earlier run left it.
            if let Some(pair) = kv.get(version_key.as_str(), None).await?.kvs().first() {
                version = pair.mod_revision();
            }
            while began.elapsed() < time {
                let slot = format!(
                    "/bare/v2/slot/bare/repository-{task:04}/bare/run-{pairs:09}/00000000-0000-4000-8000-000000000000"
                );
                let record = r#"{"holder":"bare:0123456789abcdef","event_created":1,"position":0,"created":1}"#;
                for change in [TxnOp::put(slot.as_str(), record, None), TxnOp::delete(slot.as_str(), None)] {
                    let same = Compare::mod_revision(version_key.as_str(), CompareOp::Equal, version);
                    let stamp = TxnOp::put(version_key.as_str(), r#"{"by":"0123456789abcdef0123456789abcdef"}"#, None);
                    let answer = kv.txn(Txn::new().when([same]).and_then([change, stamp])).await?;
                    if !answer.succeeded() {
                        bail!("a bare transaction was refused");
                    }
                    version = answer.header().context("a header")?.revision();
                }
                pairs += 1;
            }
            Ok(pairs)
        });
    }
    total(all, began).await
}

/// The driver alone, without the manager.
async fn memory(driver: Arc<dyn Driver>, tasks: usize, time: Duration) -> Result<f64> {
    let began = Instant::now();
    let mut all = JoinSet::new();
    for task in 0..tasks {
        let driver = Arc::clone(&driver);
        all.spawn(async move {
            let repository = RepositoryKey::new("bare", &format!("repository-{task:04}"))?;
            let (holder, mut version, mut pairs) = (Holder::new("bare"), Version::NONE, 0);
            while began.elapsed() < time {
                let run = RunKey::new("bare", &format!("run-{pairs:09}"), "00000000-0000-4000-8000-000000000000")?;
                let entry = Entry::new(run.clone(), OrderKey::alone(pairs));
                let take = Delta { hold: vec![entry], ..Delta::default() };
                let give = Delta { release: vec![run], ..Delta::default() };
                version = driver.commit(&repository, version, &holder, &take).await?;
                version = driver.commit(&repository, version, &holder, &give).await?;
                pairs += 1;
                tokio::task::yield_now().await;
            }
            Ok(pairs)
        });
    }
    total(all, began).await
}

async fn total(mut tasks: JoinSet<Result<i64>>, began: Instant) -> Result<f64> {
    let mut pairs = 0;
    while let Some(done) = tasks.join_next().await {
        pairs += done??;
    }
    Ok(pairs as f64 / began.elapsed().as_secs_f64())
}
