//! How many slots a second can be taken and given back, with each driver, beside what its server does without us.

mod bare;
mod load;
mod queue;
mod server;
mod shape;

use std::time::Duration;

use anyhow::{Context, Result};

use self::load::Load;
pub(crate) use self::server::{Kind, Server};
use self::shape::{SHAPES, Shape};
use crate::Effort;
use crate::figure::{Better, Row, Table};
use crate::machine;

/// As in the settings' default: one of them listens, nine work.
const CONNECTIONS: usize = 10;

/// One run of ours, and one of the server alone, right after.
struct Round {
    load: Load,
    bare: f64,
    round_trips: f64,
    fsyncs: f64,
}

/// Measures the stores `kinds`; their versions go into `servers`.
pub(crate) async fn measure(kinds: &[Kind], effort: &Effort, servers: &mut Vec<String>) -> Result<Table> {
    let mut table = Table::new("Stores");
    for kind in kinds {
        let server = Server::start(*kind)?;
        if *kind != Kind::Memory {
            servers.push(server.version().await?);
        }
        for (number, shape) in SHAPES.iter().enumerate() {
            eprintln!("store: {}, {}", kind.name(), shape.name);
            let mut rounds = Vec::new();
            for _ in 0..effort.rounds {
                let round = round(&server, *shape, effort.time).await;
                rounds.push(round.with_context(|| format!("{}, {}", kind.name(), shape.name))?);
            }
            let mut row = row(*kind, shape, &rounds);
            if number == 0 {
                promise(*kind, &mut row);
            }
            table.add(row);
        }
    }
    table.note(format!(
        "A pair is a slot taken and given back through the manager. *Bare*: the same two transactions by {CONNECTIONS} clients of pgbench, by \
         64 tasks on one etcd client, or by 64 tasks on the memory driver, right after and for as long, each on a repository of its own. \
         A task waits for others before it gets a slot, so *acquire* has the waiting in it. Load at the end: {:.1}.",
        machine::load()
    ));
    Ok(table)
}

async fn round(server: &Server, shape: Shape, time: Duration) -> Result<Round> {
    let before = server.counted().await?;
    let load = load::run(server.driver().await?, shape, time / 4, time).await?;
    let counted = server.counted().await?.since(before);
    let clients = if matches!(server, Server::Postgresql(_)) { CONNECTIONS } else { shape.tasks };
    let bare = bare::pairs_per_second(server, clients, time).await?;
    let pairs = load.pairs as f64;
    Ok(Round { bare, round_trips: counted.transactions / pairs, fsyncs: counted.fsyncs / pairs, load })
}

fn row(kind: Kind, shape: &Shape, rounds: &[Round]) -> Row {
    let mut row = Row::new(format!("{}: {}", kind.name(), shape.name));
    let mut add = |column: &str, better: Better, value: &dyn Fn(&Round) -> f64| {
        row.add(column, better, rounds.iter().map(value));
    };
    add("pairs/s", Better::Higher, &|round| round.load.pairs_per_second);
    add("bare pairs/s", Better::Neither, &|round| round.bare);
    add("ratio", Better::Higher, &|round| round.load.pairs_per_second / round.bare);
    add("acquire p50, ms", Better::Lower, &|round| round.load.acquire.percentile(50));
    add("acquire p99, ms", Better::Lower, &|round| round.load.acquire.percentile(99));
    add("release p50, ms", Better::Lower, &|round| round.load.release.percentile(50));
    add("release p99, ms", Better::Lower, &|round| round.load.release.percentile(99));
    add("commits/pair", Better::Lower, &|round| round.load.commits as f64 / round.load.pairs as f64);
    if kind != Kind::Memory {
        add("round trips/pair", Better::Lower, &|round| round.round_trips);
        add("fsyncs/pair", Better::Lower, &|round| round.fsyncs);
    }
    row
}

/// What was promised for the first shape.
fn promise(kind: Kind, row: &mut Row) {
    let (column, reach) = match kind {
        Kind::Postgresql => ("ratio", 0.8),
        // 4,000 pairs a second where the server's plain transactions reach 6,600.
        Kind::Etcd => ("ratio", 4000.0 / 3300.0),
        Kind::Memory => ("pairs/s", 500_000.0),
    };
    row.reach(column, reach);
}
