//! How many slots a second can be taken and given back, with each driver, beside what its server does without us.

mod bare;
mod load;
mod queue;
mod server;
mod shape;
mod telemetry;

use std::time::Duration;

use anyhow::{Context, Result};
use pac_config::DriverKind;

use self::load::Load;
pub(crate) use self::server::Server;
use self::shape::{SHAPES, Shape};
use self::telemetry::Telemetry;
use crate::effort::Effort;
use crate::figure::{Better, Row, Table};
use crate::machine;

/// As in the settings' default: one of them listens, nine work.
const CONNECTIONS: usize = 10;

/// One run of ours, and one of the server alone.
struct Round {
    load: Load,
    bare: f64,
    round_trips: f64,
    fsyncs: f64,
}

/// Measures the stores `kinds`; their versions go into `servers`.
pub(crate) async fn measure(kinds: &[DriverKind], effort: &Effort, servers: &mut Vec<String>) -> Result<Table> {
    let (mut table, telemetry) = (Table::new("Stores"), Telemetry::install()?);
    for kind in kinds {
        if *kind != DriverKind::Memory {
            servers.push(Server::start(*kind).await?.version().await?);
        }
        for (shape, logs) in rows(*kind) {
            let mut row = Box::pin(measure_row(*kind, shape, logs, effort, &telemetry)).await?;
            if shape.is_promised() && logs == logs_usually(*kind) {
                promise(*kind, &mut row);
            }
            table.add(row);
        }
    }
    table.note(format!(
        "A pair is a slot taken and given back through the manager. *Bare*: the same two transactions by {CONNECTIONS} clients of pgbench, by \
         64 tasks on one etcd client, or by 64 tasks on the memory driver, right before or after and for as long, each on a repository of its own. \
         *Commits of bare*: how many transactions of ours were made in a second, as a share of how many bare ones. \
         A task waits for others before it gets a slot, so *acquire* has the waiting in it. The watcher's metrics are kept and its log is written \
         to a file as in the watcher, a line for each slot taken, but for the rows of memory that don't say so. PostgreSQL without TLS. \
         Load at the end: {:.1}.",
        machine::load()
    ));
    Ok(table)
}

/// What is measured, and whether with the log. A line takes longer than all that memory has to do for it.
fn rows(kind: DriverKind) -> Vec<(Shape, bool)> {
    let mut rows: Vec<_> = SHAPES.iter().map(|shape| (*shape, logs_usually(kind))).collect();
    if kind == DriverKind::Memory {
        rows.push((SHAPES[0], true));
    }
    rows
}

fn logs_usually(kind: DriverKind) -> bool {
    kind != DriverKind::Memory
}

async fn measure_row(
    kind: DriverKind,
    shape: Shape,
    logs: bool,
    effort: &Effort,
    telemetry: &Telemetry,
) -> Result<Row> {
    let mut name = format!("{}: {}", kind.name(), shape.name);
    if logs != logs_usually(kind) {
        name += ", with the log";
    }
    eprintln!("store: {name}");
    let server = Server::start(kind).await?;
    let mut rounds = Vec::new();
    for number in 0..effort.rounds {
        let ours_first = number % 2 == 0;
        telemetry.log(logs)?;
        let round = Box::pin(round(&server, shape, effort.time, ours_first)).await.with_context(|| name.clone());
        telemetry.log(false)?;
        telemetry.tidy();
        rounds.push(round?);
    }
    Ok(row(name, kind, &rounds))
}

/// One after the other, so that what the server keeps of the past is no harder on one of them.
async fn round(server: &Server, shape: Shape, time: Duration, ours_first: bool) -> Result<Round> {
    let clients = if matches!(server, Server::Postgresql(_)) { CONNECTIONS } else { shape.tasks };
    let bare_alone = async {
        bare::pairs_per_second(server, clients, time / 4).await?;
        bare::pairs_per_second(server, clients, time).await
    };
    let ours = async {
        let before = server.counted().await?;
        let load = load::run(server.driver().await?, shape, time / 4, time).await?;
        anyhow::Ok((load, server.counted().await?.since(before)))
    };
    let (bare, (load, counted)) = if ours_first {
        let ours = ours.await?;
        (bare_alone.await?, ours)
    } else {
        (bare_alone.await?, ours.await?)
    };
    let pairs = load.pairs as f64;
    Ok(Round { bare, round_trips: counted.transactions / pairs, fsyncs: counted.fsyncs / pairs, load })
}

fn row(name: String, kind: DriverKind, rounds: &[Round]) -> Row {
    let mut row = Row::new(name);
    let mut add = |column: &str, better: Better, value: &dyn Fn(&Round) -> f64| {
        row.add(column, better, rounds.iter().map(value));
    };
    add("pairs/s", Better::Higher, &|round| round.load.pairs_per_second);
    add("bare pairs/s", Better::Neither, &|round| round.bare);
    add("ratio", Better::Higher, &|round| round.load.pairs_per_second / round.bare);
    add("commits of bare", Better::Higher, &|round| {
        let commits = round.load.pairs_per_second * round.load.commits as f64 / round.load.pairs as f64;
        commits / (2.0 * round.bare)
    });
    add("acquire p50, ms", Better::Lower, &|round| round.load.acquire.percentile(50));
    add("acquire p99, ms", Better::Lower, &|round| round.load.acquire.percentile(99));
    add("release p50, ms", Better::Lower, &|round| round.load.release.percentile(50));
    add("release p99, ms", Better::Lower, &|round| round.load.release.percentile(99));
    add("commits/pair", Better::Lower, &|round| round.load.commits as f64 / round.load.pairs as f64);
    if kind != DriverKind::Memory {
        add("round trips/pair", Better::Lower, &|round| round.round_trips);
        add("fsyncs/pair", Better::Lower, &|round| round.fsyncs);
    }
    row
}

/// What was promised for the first shape.
fn promise(kind: DriverKind, row: &mut Row) {
    let (column, reach) = match kind {
        DriverKind::PostgreSql => ("ratio", 0.8),
        // 4,000 pairs a second where the server's plain transactions reach 6,600.
        DriverKind::Etcd => ("ratio", 4000.0 / 3300.0),
        DriverKind::Memory => ("pairs/s", 500_000.0),
    };
    row.reach(column, reach);
}
