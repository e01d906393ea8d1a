//! `pac-watcher migrate`.

use std::process::ExitCode;

use pac_client::say;
use pac_concurrency::{
    ConnectedStore, Delta, DriverError, Inspection, LegacyImport, RepositoryKey, Schema, Window, relocate,
};
use pac_config::{Disk, DriverKind, DriverSettings, problems_report, resolve};
use pac_kube::cluster;
use pac_kube::error::with_causes;
use pac_watcher::Connect;
use pac_watcher::list_once::list_once;

use super::{Failure, exit_code, failure, settings};
use crate::cli::Migrate;
use crate::driver::Drivers;
use crate::logging;

/// One of the two stores, by its settings.
struct Store {
    name: &'static str,
    /// The flag that names it.
    flag: &'static str,
    settings: DriverSettings,
}

/// A store as it is, and a way to read it that changes nothing there.
struct Inspected {
    found: Inspection,
    store: ConnectedStore,
}

/// What is to be moved of one repository.
struct Row {
    repository: RepositoryKey,
    slots: usize,
    waiting: usize,
}

/// What an earlier version left, as it is to be committed.
struct Left {
    deltas: Vec<(RepositoryKey, Delta)>,
    taken: LegacyImport,
}

/// Moves, or says why not. 0: done; 1: a server or the cluster can't be reached, or a watcher is at work; 2: the settings
/// can't be used.
pub(crate) async fn migrate(migrate: &Migrate) -> ExitCode {
    exit_code(try_to_migrate(migrate).await)
}

async fn try_to_migrate(migrate: &Migrate) -> Result<(), Failure> {
    logging::start(&migrate.place).map_err(|why| (2, why))?;
    if migrate.from == migrate.to {
        return Err((2, "--from and --to are the same".to_owned()));
    }
    let (from, to) = (store(migrate, migrate.from, "--from").await?, store(migrate, migrate.to, "--to").await?);
    // Until all that can be known is known, nothing is written anywhere.
    let (source, target) = (from.inspect().await?, to.inspect().await?);
    let rows = look(&source.store, migrate.force).await?;
    look(&target.store, migrate.force).await?;
    let left = left_by_an_earlier_version(migrate, &source.store).await?;
    print_rows(&rows, left.as_ref())?;
    if target.found.schema != Schema::Unneeded {
        tell(format!("{} ({}): a move {}", to.name, to.flag, target.found.schema))?;
    }
    to.must_write(&target)?;
    if left.is_some() {
        from.must_write(&source)?;
    }
    if migrate.dry_run {
        return tell("nothing was changed (--dry-run)".to_owned());
    }
    carry_out(&from.connect().await?, &to.connect().await?, left.as_ref()).await
}

async fn carry_out(from: &ConnectedStore, to: &ConnectedStore, left: Option<&Left>) -> Result<(), Failure> {
    let explain = |error| failure(with_causes(&error));
    if let Some(left) = left {
        take_over(left, to).await?;
        from.note_legacy_imported(&left.taken).await.map_err(explain)?;
    }
    let moved = relocate(from, to).await.map_err(|error| failure(with_causes(&error)))?;
    tell(format!("moved {moved} from {} to {}; {} keeps what it has", from.name(), to.name(), from.name()))
}

/// The settings of one of the two.
async fn store(migrate: &Migrate, driver: DriverKind, flag: &'static str) -> Result<Store, Failure> {
    let sources = settings::read(&migrate.place, migrate.patience).await?.with_driver(driver, flag);
    let resolved = resolve(&sources, &Disk).map_err(|problems| (2, problems_report(&problems)))?;
    settings::insist_on_any(&sources, &resolved)?;
    if !Drivers.capabilities(&resolved.settings.driver).durable {
        return Err((2, "etcd-mode is not etcd: there is no server to move from or to".to_owned()));
    }
    Ok(Store { name: driver.name(), flag, settings: resolved.settings.driver })
}

// === impl Store ===

impl Store {
    async fn inspect(&self) -> Result<Inspected, Failure> {
        let inspected = Drivers::inspect(&self.settings).await;
        inspected.map(|(found, store)| Inspected { found, store }).map_err(|error| self.failed(&error))
    }

    async fn connect(&self) -> Result<ConnectedStore, Failure> {
        Drivers.connect(&self.settings).await.map_err(|error| self.failed(&error))
    }

    fn must_write(&self, inspected: &Inspected) -> Result<(), Failure> {
        let why = inspected.found.cannot_write.as_ref();
        why.map_or(Ok(()), |why| Err(failure(format!("{} ({}) can't be written to: {why}", self.name, self.flag))))
    }

    fn failed(&self, error: &DriverError) -> Failure {
        failure(format!("{} ({}): {}", self.name, self.flag, with_causes(error)))
    }
}

/// What a store has; an error if a watcher is at work on it.
async fn look(store: &ConnectedStore, force: bool) -> Result<Vec<Row>, Failure> {
    let explain = |error| failure(with_causes(&error));
    if let (Some(watcher), false) = (store.holders().await.map_err(explain)?.first(), force) {
        return Err(failure(format!(
            "watcher {watcher} is at work on {name}: stop it first, or change concurrency-driver in the ConfigMap and let it move \
             over by itself. One that was killed counts for as long as its lease lasts ({name}-lease-ttl); --force goes on all \
             the same",
            name = store.name()
        )));
    }
    let mut rows = Vec::new();
    for repository in store.repositories().await.map_err(explain)?.keys {
        let snapshot = store.look(&repository, Window::First(0)).await.map_err(explain)?;
        if !snapshot.slots.is_empty() || snapshot.waiting_count > 0 {
            rows.push(Row { repository, slots: snapshot.slots.len(), waiting: snapshot.waiting_count });
        }
    }
    Ok(rows)
}

async fn left_by_an_earlier_version(migrate: &Migrate, from: &ConnectedStore) -> Result<Option<Left>, Failure> {
    let Some(legacy) = from.legacy().await.map_err(|error| failure(with_causes(&error)))? else { return Ok(None) };
    let client = cluster::client(migrate.place.kubeconfig.as_deref()).await.map_err(failure)?;
    let global = RepositoryKey::new(&migrate.place.namespace, "pipelines-as-code");
    let index = list_once(client, global.map_err(failure)?).await.map_err(failure)?;
    for record in &legacy.corrupt {
        tell(format!("skipped: {} ({})", record.place, record.why))?;
    }
    let mut left =
        Left { deltas: Vec::new(), taken: LegacyImport { corrupt: legacy.corrupt.len(), ..LegacyImport::default() } };
    for repository in &legacy.repositories {
        let (delta, taken) = repository.import(&|run| index.find(&repository.repository, run));
        left.taken = left.taken.and(taken);
        left.deltas.push((repository.repository.clone(), delta));
    }
    tell(format!("{}: left by an earlier version", legacy.source))?;
    Ok(Some(left))
}

async fn take_over(left: &Left, to: &ConnectedStore) -> Result<(), Failure> {
    for (repository, delta) in &left.deltas {
        to.bring(repository, delta).await.map_err(|error| failure(with_causes(&error)))?;
    }
    Ok(())
}

fn print_rows(rows: &[Row], left: Option<&Left>) -> Result<(), Failure> {
    let line =
        |repository: &str, slots: usize, waiting: usize| tell(format!("{repository:<60} {slots:>7} {waiting:>8}"));
    tell(format!("{:<60} {:>7} {:>8}", "REPOSITORY", "SLOTS", "WAITING"))?;
    for row in rows {
        line(row.repository.as_str(), row.slots, row.waiting)?;
    }
    let Some(left) = left else { return Ok(()) };
    for (repository, delta) in &left.deltas {
        line(repository.as_str(), delta.hold.len(), delta.enqueue.len())?;
    }
    tell(format!("{} runs that an earlier version left are done or gone, and are dropped", left.taken.ghosts))
}

fn tell(text: String) -> Result<(), Failure> {
    say::line(text).map_err(failure)
}
