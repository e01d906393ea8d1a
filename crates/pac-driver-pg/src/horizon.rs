//! How long the server has had to keep rows that are no longer needed: as long as its oldest transaction lasts.
//!
//! A user without further rights sees back to which transaction others hold, and not since when. For such a user that counts from
//! when this transaction was first seen to be the oldest.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Error, Row};
use tracing::debug;

use crate::sessions::Sessions;
use crate::statement::Statement;

const OLDEST_TRANSACTION: &str = include_str!("../sql/oldest_transaction.sql");
/// How often it is looked at, at the most.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long a look may take: whoever asks how the store is waits for it.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Horizon(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looked: Option<Instant>,
    /// The oldest transaction, and when it was first seen to be that.
    oldest: Option<(String, Instant)>,
    /// Its age at the last look that came to something.
    age: Option<Duration>,
}

// === impl Horizon ===

impl Horizon {
    /// Looks, if it is time to. That the server won't tell, or not in time, is no fault of the store.
    pub(crate) async fn look(&self, sessions: &Sessions) {
        if self.is_due(Instant::now()) {
            self.ask(sessions).await;
        }
    }

    async fn ask(&self, sessions: &Sessions) {
        let asked = timeout(LOOK_WITHIN, sessions.read(Statement::new(OLDEST_TRANSACTION))).await;
        let found = match asked {
            Ok(Ok(rows)) => rows.first().map(read).transpose().map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {LOOK_WITHIN:?}")),
        };
        match found {
            Ok(found) => self.note(found, Instant::now()),
            Err(error) => {
                debug!(error, "the oldest transaction can't be told");
                self.0.lock().age = None;
            }
        }
    }

    /// Its age, if it is known; zero if there is none.
    pub(crate) fn age(&self) -> Option<Duration> {
        let state = self.0.lock();
        // While nobody asks, because the store is away, nobody knows.
        state.age.filter(|_| state.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY * 3))
    }

    fn is_due(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        let is_due = state.looked.is_none_or(|looked| now - looked >= LOOK_EVERY);
        if is_due {
            state.looked = Some(now);
        }
        is_due
    }

    /// Takes in which transaction is the oldest, and how old the server says it is.
    fn note(&self, found: Option<(String, Option<Duration>)>, now: Instant) {
        let mut state = self.0.lock();
        let Some((transaction, told)) = found else {
            (state.oldest, state.age) = (None, Some(Duration::ZERO));
            return;
        };
        let known = state.oldest.take().filter(|(known, _)| *known == transaction);
        let since = known.map_or(now, |(_, since)| since);
        state.age = Some((now - since).max(told.unwrap_or_default()));
        state.oldest = Some((transaction, since));
    }
}

fn read(row: &Row) -> Result<(String, Option<Duration>), Error> {
    let seconds: Option<f64> = row.try_get("seconds")?;
    let age = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok((row.try_get("transaction")?, age))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use pac_devservers::postgres::Postgres;

    use super::*;
    use crate::connect::Connector;
    use crate::testing::settings;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_at_now_and_then() {
        let (horizon, now) = (Horizon::default(), Instant::now());
        let due = [0, 1, 29, 30, 31].map(|seconds| horizon.is_due(now + SECOND * seconds));
        assert_eq!(due, [true, false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_age_counts_from_the_beginning_or_from_when_it_was_first_seen() {
        let (horizon, now) = (Horizon::default(), Instant::now());
        assert_eq!(horizon.age(), None, "nobody looked yet");
        assert!(horizon.is_due(now));
        let mut ages = Vec::new();
        let mut note = |transaction: &str, told: Option<u32>, seconds: u32| {
            horizon.note(Some((transaction.to_owned(), told.map(|told| SECOND * told))), now + SECOND * seconds);
            ages.push(horizon.age().unwrap().as_secs());
        };
        note("7", None, 0);
        note("7", None, 30);
        note("7", None, 60);
        note("9", None, 90);
        note("9", Some(100), 120);
        assert_eq!(ages, [0, 30, 60, 0, 100]);
        horizon.note(None, now + SECOND * 150);
        assert_eq!(horizon.age(), Some(Duration::ZERO));
    }

    /// The age after a look, however long ago the last one was.
    async fn look(horizon: &Horizon, sessions: &Sessions) -> Option<Duration> {
        horizon.0.lock().looked = Some(Instant::now());
        horizon.ask(sessions).await;
        horizon.age()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_user_without_further_rights_sees_who_holds_back() {
        let postgres = Postgres::start_with(&["max_prepared_transactions=1", "autovacuum=off"]).unwrap();
        let sessions = Sessions::new(Arc::new(Connector::new(settings(&postgres))), 1);
        let horizon = Horizon::default();
        let administer = |statement: &str| postgres.administer_in("pac_concurrency", statement).unwrap();
        administer("CREATE TABLE mark (number integer)");
        assert_eq!(look(&horizon, &sessions).await, Some(Duration::ZERO));

        let reads = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1";
        let elsewhere = postgres.open_transaction("postgres", reads).unwrap();
        assert_eq!(look(&horizon, &sessions).await, Some(Duration::ZERO), "who reads in another database");
        drop(elsewhere);
        let here = postgres.open_transaction("pac_concurrency", reads).unwrap();
        look(&horizon, &sessions).await;
        // What is measured is time that passes.
        tokio::time::sleep(SECOND).await;
        administer("INSERT INTO mark VALUES (1)");
        assert!(look(&horizon, &sessions).await >= Some(SECOND), "who reads in this database");
        drop(here);

        let writes = "BEGIN; CREATE TABLE another (number integer)";
        let writer = postgres.open_transaction("postgres", writes).unwrap();
        look(&horizon, &sessions).await;
        // As above.
        tokio::time::sleep(SECOND).await;
        administer("INSERT INTO mark VALUES (2)");
        assert!(look(&horizon, &sessions).await >= Some(SECOND), "who writes in another database");
        drop(writer);

        administer("BEGIN; INSERT INTO mark VALUES (3); PREPARE TRANSACTION 'forgotten'");
        // As above.
        tokio::time::sleep(SECOND).await;
        assert!(look(&Horizon::default(), &sessions).await >= Some(SECOND), "it is known since when it is prepared");
        administer("ROLLBACK PREPARED 'forgotten'");
        assert_eq!(look(&horizon, &sessions).await, Some(Duration::ZERO));

        administer("REVOKE SELECT ON pg_stat_activity FROM PUBLIC");
        assert_eq!(look(&horizon, &sessions).await, None, "what may not be seen isn't known");
    }
}
