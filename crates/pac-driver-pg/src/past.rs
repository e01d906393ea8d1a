//! What happened lately in a queue, for people: a row for each repository, beside all that is compared and decided.

use async_trait::async_trait;
use pac_concurrency::{DriverError, HistoryStore, RepositoryKey};

use crate::driver::PgDriver;
use crate::statement::Statement;

#[async_trait]
impl HistoryStore for PgDriver {
    async fn write(&self, repository: &RepositoryKey, history: &str) -> Result<(), DriverError> {
        let history = if self.sessions.server().is_unicode { history } else { &ascii(history) };
        let keep = || Statement::new(include_str!("../sql/keep_past.sql")).text(repository.as_str()).text(history);
        self.sessions.write_regardless(keep).await.map(drop)
    }

    async fn read(&self, repository: &RepositoryKey) -> Result<Option<String>, DriverError> {
        let rows =
            self.sessions.read(Statement::new(include_str!("../sql/past.sql")).text(repository.as_str())).await?;
        rows.first().map(|row| row.try_get(0)).transpose().map_err(|error| self.explain(error))
    }
}

/// The same JSON in ASCII alone: a database in another encoding than UTF-8 has no place for every character, and would
/// refuse the whole of it. Outside of its strings JSON has no others.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let units = &mut [0; 2];
            character.encode_utf16(units).iter().for_each(|unit| text.push_str(&format!("\\u{unit:04x}")));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_what_it_says_in_ascii() {
        assert_eq!(
            ascii(r#"{"why":"a — b","who":"Jürgen 🎉","code":"\n"}"#),
            r#"{"why":"a \u2014 b","who":"J\u00fcrgen \ud83c\udf89","code":"\n"}"#
        );
    }
}
