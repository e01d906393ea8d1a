//! From rows to the domain. A row that can't be read is reported with its place and left out (P10).

use pac_concurrency::{
    CorruptRecord, Entry, Holder, OrderKey, Repositories, RepositoryKey, RunKey, Slot, Snapshot, Version, Window,
};
use tokio_postgres::{Error, Row};

/// What `load.sql` gives.
#[derive(Debug)]
struct LoadRow {
    kind: String,
    version: Option<i64>,
    waiting_count: Option<i64>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    event_created: Option<i64>,
    position: Option<i64>,
    created: Option<i64>,
    holder: Option<String>,
    lapsed: Option<bool>,
}

// === impl LoadRow ===

impl LoadRow {
    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            kind: row.try_get("kind")?,
            version: row.try_get("version")?,
            waiting_count: row.try_get("waiting_count")?,
            namespace: row.try_get("namespace")?,
            name: row.try_get("name")?,
            uid: row.try_get("uid")?,
            event_created: row.try_get("event_created")?,
            position: row.try_get("position")?,
            created: row.try_get("created")?,
            holder: row.try_get("holder")?,
            lapsed: row.try_get("lapsed")?,
        })
    }

    fn entry(&self) -> Result<Entry, String> {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let run = RunKey::new(&text(&self.namespace), &text(&self.name), &text(&self.uid));
        let run = run.map_err(|error| error.to_string())?;
        let position = self.position.unwrap_or_default();
        let position = u32::try_from(position).map_err(|_| format!("{position} is no position"))?;
        let event_created = self.event_created.unwrap_or_default();
        Ok(Entry::new(run, OrderKey { event_created, position, created: self.created.unwrap_or_default() }))
    }

    fn slot(&self) -> Result<Slot, String> {
        let holder = Holder::parse(self.holder.as_deref().unwrap_or_default()).map_err(|error| error.to_string())?;
        Ok(Slot { entry: self.entry()?, holder, lapsed: self.lapsed.unwrap_or(true) })
    }

    fn place(&self, table: &str, repository: &RepositoryKey) -> String {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (namespace, name, uid) = (text(&self.namespace), text(&self.name), text(&self.uid));
        format!("pac_concurrency.{table}: repository {repository}, run {namespace}/{name}, uid {uid}")
    }
}

/// How many waiting rows to ask for: one more than the window, so that it is known whether there are more.
pub(crate) fn limit(window: Window) -> Option<i64> {
    match window {
        Window::First(size) => Some(i64::try_from(size).unwrap_or(i64::MAX - 1) + 1),
        Window::Whole => None,
    }
}

/// The snapshot that the rows of `load.sql` are; none, if the server only reads.
pub(crate) fn snapshot(repository: &RepositoryKey, window: Window, rows: &[Row]) -> Result<Option<Snapshot>, Error> {
    let mut snapshot = Snapshot::empty();
    let mut counted = 0;
    let mut seen = 0_usize;
    for row in rows {
        let row = LoadRow::read(row)?;
        let corrupt = |table, why| CorruptRecord { place: row.place(table, repository), why };
        match row.kind.as_str() {
            "server" if row.lapsed == Some(true) => return Ok(None),
            "server" => {}
            "repository" => {
                snapshot.version = version(row.version.unwrap_or_default());
                counted = usize::try_from(row.waiting_count.unwrap_or_default()).unwrap_or_default();
            }
            "slot" => match row.slot() {
                Ok(slot) => drop(snapshot.slots.insert(slot.entry.run.clone(), slot)),
                Err(why) => snapshot.corrupt.push(corrupt("slots", why)),
            },
            _ => {
                seen += 1;
                match row.entry() {
                    Ok(entry) => drop(snapshot.waiting.insert(entry)),
                    Err(why) => snapshot.corrupt.push(corrupt("waiting", why)),
                }
            }
        }
    }
    // A run in both tables, by whatever hand, has its slot.
    let slots = &snapshot.slots;
    snapshot.waiting.retain(|entry| !slots.contains_key(&entry.run));
    snapshot.whole = seen <= window.size();
    snapshot.shrink(window.size());
    snapshot.waiting_count = if snapshot.whole { snapshot.waiting.len() } else { counted.max(seen) };
    Ok(Some(snapshot))
}

/// The repositories that the rows of `repositories.sql` name, with their versions.
pub(crate) fn repositories(rows: &[Row]) -> Result<(Vec<(RepositoryKey, i64)>, Repositories), Error> {
    let (mut versions, mut repositories) = (Vec::new(), Repositories::default());
    for row in rows {
        let (name, version): (String, i64) = (row.try_get("repository")?, row.try_get("version")?);
        match name.parse::<RepositoryKey>() {
            Ok(key) => {
                repositories.keys.push(key.clone());
                versions.push((key, version));
            }
            Err(error) => {
                let place = format!("pac_concurrency.repositories: {name:?}");
                repositories.corrupt.push(CorruptRecord { place, why: error.to_string() });
            }
        }
    }
    Ok((versions, repositories))
}

/// Versions are positive in the database, so both conversions keep them whole.
fn version(number: i64) -> Version {
    Version::new(number.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_is_asked_for_than_the_window_shows() {
        assert_eq!([Window::First(0), Window::First(3)].map(limit), [Some(1), Some(4)]);
        assert_eq!((limit(Window::First(usize::MAX)), limit(Window::Whole)), (Some(i64::MAX), None));
    }
}
