//! What an earlier implementation left in the schema `public`, which is read and never changed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use pac_concurrency::{
    CorruptRecord, DriverError, Legacy, LegacyImport, LegacyRepository, LegacySource, RepositoryKey,
};
use tokio_postgres::{Error, Row};

use crate::driver::PgDriver;
use crate::statement::Statement;

/// Where it is.
pub(crate) const SOURCE: &str = "table public.concurrency_slots";

/// What `legacy_slots.sql` gives.
#[derive(Debug)]
struct LeftRow {
    id: String,
    repository_key: String,
    pipeline_run_key: String,
    running: bool,
}

// === impl LeftRow ===

impl LeftRow {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.try_get("id")?,
            repository_key: row.try_get("repository_key")?,
            pipeline_run_key: row.try_get("pipeline_run_key")?,
            running: row.try_get("running")?,
        })
    }
}

#[async_trait]
impl LegacySource for PgDriver {
    async fn read(&self) -> Result<Option<Legacy>, DriverError> {
        let pending = match self.has_schema {
            true => include_str!("../sql/legacy_pending.sql"),
            // Nowhere could it be noted.
            false => "SELECT to_regclass('public.concurrency_slots') IS NOT NULL",
        };
        let pending = self.sessions.read(Statement::new(pending)).await?;
        if !self.answer(&pending)? {
            return Ok(None);
        }
        let rows = self.sessions.read(Statement::new(include_str!("../sql/legacy_slots.sql"))).await?;
        legacy(&rows).map(Some).map_err(|error| self.explain(error))
    }

    async fn note_imported(&self, imported: &LegacyImport) -> Result<(), DriverError> {
        let note = || {
            let counts = [imported.slots, imported.waiting, imported.ghosts];
            let counts = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
            counts.into_iter().fold(Statement::new(include_str!("../sql/note_legacy.sql")), Statement::number)
        };
        self.sessions.write_regardless(note).await.map(drop)
    }
}

/// The rows of `legacy_slots.sql`, by repository.
fn legacy(rows: &[Row]) -> Result<Legacy, Error> {
    let mut legacy = Legacy { source: SOURCE.to_owned(), ..Legacy::default() };
    let mut repositories: BTreeMap<RepositoryKey, LegacyRepository> = BTreeMap::new();
    for row in rows {
        let row = LeftRow::read(row)?;
        match row.repository_key.parse::<RepositoryKey>() {
            Ok(key) => {
                let new = || LegacyRepository { repository: key.clone(), running: Vec::new(), queued: Vec::new() };
                let left = repositories.entry(key.clone()).or_insert_with(new);
                let list = if row.running { &mut left.running } else { &mut left.queued };
                list.push(row.pipeline_run_key);
            }
            Err(error) => {
                let place = format!("{SOURCE}: row {}", row.id);
                legacy.corrupt.push(CorruptRecord { place, why: error.to_string() });
            }
        }
    }
    legacy.repositories = repositories.into_values().collect();
    Ok(legacy)
}
