//! What an earlier implementation left in the schema `public`, which is read and never changed.

use std::collections::BTreeMap;

use pac_concurrency::{CorruptRecord, Legacy, LegacyRepository, RepositoryKey};
use tokio_postgres::{Error, Row};

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

/// The rows of `legacy_slots.sql`, by repository.
pub(crate) fn legacy(rows: &[Row]) -> Result<Legacy, Error> {
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
