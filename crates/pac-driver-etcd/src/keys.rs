//! Where everything is kept, and how a key is read back.
//!
//! | key under `/pac/concurrency/v2/` | what it is |
//! | --- | --- |
//! | `version/<ns>/<repo>` | a repository; the revision of its last change is its version |
//! | `slot/<ns>/<repo>/<run ns>/<run>/<uid>` | a slot |
//! | `place/<ns>/<repo>/<run ns>/<run>/<uid>` | a waiting run, found by name |
//! | `queue/<ns>/<repo>/<place>,<run ns>,<run>,<uid>` | the same run, found by place: etcd's order is the queue's |
//! | `staged/<ns>/<repo>/<id>/<number>` | a part of a change too large for one transaction |
//! | `past/<ns>/<repo>` | what happened lately in its queue, for people |
//! | `holder/<holder>` | a holder's term, gone with its lease |
//! | `legacy` | that what an earlier version left was taken over: see [`legacy`](crate::legacy) |
//!
//! Names have no `/`, so that no key is the beginning of another's and every prefix that is read or deleted ends with
//! one. In a queue's key the parts are joined by `,`, which sorts before every character that names have; a `/` sorts
//! after `-` and `.`, and would put `team-a` before `team`.

use pac_concurrency::{Entry, Holder, OrderKey, RepositoryKey, RunKey};

/// What all of our keys begin with.
const ROOT: &str = "/pac/concurrency/v2/";
/// What the keys of all repositories begin with.
pub(crate) const VERSIONS: &str = "/pac/concurrency/v2/version/";
/// What the keys of all holders begin with.
pub(crate) const HOLDERS: &str = "/pac/concurrency/v2/holder/";

pub(crate) fn version(repository: &RepositoryKey) -> String {
    format!("{VERSIONS}{repository}")
}

pub(crate) fn holder(holder: &Holder) -> String {
    format!("{HOLDERS}{holder}")
}

/// What the keys of a repository's slots begin with.
pub(crate) fn slots(repository: &RepositoryKey) -> String {
    format!("{ROOT}slot/{repository}/")
}

pub(crate) fn slot(repository: &RepositoryKey, run: &RunKey) -> String {
    format!("{}{}/{}", slots(repository), run.path(), run.uid())
}

/// What the keys of a repository's waiting runs begin with.
pub(crate) fn places(repository: &RepositoryKey) -> String {
    format!("{ROOT}place/{repository}/")
}

pub(crate) fn place(repository: &RepositoryKey, run: &RunKey) -> String {
    format!("{}{}/{}", places(repository), run.path(), run.uid())
}

/// What the keys of a repository's queue begin with.
pub(crate) fn queue(repository: &RepositoryKey) -> String {
    format!("{ROOT}queue/{repository}/")
}

pub(crate) fn waiting(repository: &RepositoryKey, run: &RunKey, order: OrderKey) -> String {
    let OrderKey { event_created, position, created } = order;
    let (event_created, created) = (sortable(event_created), sortable(created));
    let place = format!("{event_created},{position:010},{created}");
    format!("{}{place},{},{},{}", queue(repository), run.namespace(), run.name(), run.uid())
}

/// What happened lately in the queue of a repository.
pub(crate) fn past(repository: &RepositoryKey) -> String {
    format!("{ROOT}past/{repository}")
}

/// What the keys of all staged changes of a repository begin with.
pub(crate) fn staged(repository: &RepositoryKey) -> String {
    format!("{ROOT}staged/{repository}/")
}

/// What the keys of one staged change begin with.
pub(crate) fn staged_change(repository: &RepositoryKey, id: &str) -> String {
    format!("{}{id}/", staged(repository))
}

pub(crate) fn chunk(repository: &RepositoryKey, id: &str, number: usize) -> String {
    format!("{}{number:06}", staged_change(repository, id))
}

/// The repository a version key is about.
pub(crate) fn parse_version(key: &[u8]) -> Result<RepositoryKey, String> {
    rest(VERSIONS, key)?.parse().map_err(explain)
}

/// The run that a slot's or place's key is about, after `prefix`.
pub(crate) fn parse_run(prefix: &str, key: &[u8]) -> Result<RunKey, String> {
    let (path, uid) = rest(prefix, key)?.rsplit_once('/').ok_or("the key has no uid")?;
    RunKey::parse(path, uid).map_err(explain)
}

/// The entry that a queue's key is about, after `prefix`.
pub(crate) fn parse_waiting(prefix: &str, key: &[u8]) -> Result<Entry, String> {
    let parts: Vec<&str> = rest(prefix, key)?.split(',').collect();
    let [event_created, position, created, namespace, name, uid] = parts[..] else {
        return Err(format!("the key has {} parts, not 6", parts.len()));
    };
    let number = |text| parse_sortable(text).ok_or_else(|| format!("{text:?} in the key is no time"));
    let order = OrderKey {
        event_created: number(event_created)?,
        position: parse_position(position)?,
        created: number(created)?,
    };
    Ok(Entry::new(RunKey::new(namespace, name, uid).map_err(explain)?, order))
}

/// The holder a key is about, if it is one.
pub(crate) fn parse_holder(key: &[u8]) -> Option<Holder> {
    Holder::parse(rest(HOLDERS, key).ok()?).ok()
}

fn rest<'key>(prefix: &str, key: &'key [u8]) -> Result<&'key str, String> {
    let text = std::str::from_utf8(key).map_err(explain)?;
    text.strip_prefix(prefix).ok_or_else(|| format!("the key doesn't begin with {prefix}"))
}

fn explain(error: impl std::error::Error) -> String {
    error.to_string()
}

/// Digits that sort as the numbers do: of those from 0 on, `1` and the number; of those below 0, `0` and how far they are
/// from the lowest.
fn sortable(number: i64) -> String {
    if number >= 0 { format!("1{number:019}") } else { format!("0{:019}", number.wrapping_sub(i64::MIN)) }
}

fn parse_sortable(text: &str) -> Option<i64> {
    let number: i64 = text.get(1..)?.parse().ok()?;
    let number = if text.starts_with('0') { number.wrapping_add(i64::MIN) } else { number };
    // One number, one text: what reads the same but is written otherwise would be a second key for it.
    (sortable(number) == text).then_some(number)
}

fn parse_position(text: &str) -> Result<u32, String> {
    let position = text.parse().ok().filter(|position: &u32| format!("{position:010}") == text);
    position.ok_or_else(|| format!("{text:?} in the key is no position"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repository(text: &str) -> RepositoryKey {
        text.parse().unwrap()
    }

    prop_compose! {
        fn any_entry()(
            event_created in prop_oneof![any::<i64>(), -2..3i64],
            position in prop_oneof![any::<u32>(), 0..3u32],
            created in prop_oneof![any::<i64>(), -2..3i64],
            namespace in "[a-c0-]{1,3}",
            name in "[a-c0.-]{1,3}",
            uid in "[a-cA-C0-]{1,3}",
        ) -> Entry {
            Entry::new(RunKey::new(&namespace, &name, &uid).unwrap(), OrderKey { event_created, position, created })
        }
    }

    proptest! {
        #[test]
        fn a_queue_sorts_as_its_entries_do(one in any_entry(), other in any_entry()) {
            let key = |entry: &Entry| waiting(&repository("ns/repo"), &entry.run, entry.order);
            prop_assert_eq!(key(&one).as_bytes().cmp(key(&other).as_bytes()), one.cmp(&other));
        }

        #[test]
        fn what_is_written_is_read_back(entry in any_entry()) {
            let repository = repository("ns/repo");
            let key = waiting(&repository, &entry.run, entry.order);
            prop_assert_eq!(parse_waiting(&queue(&repository), key.as_bytes()), Ok(entry.clone()));
            let key = slot(&repository, &entry.run);
            prop_assert_eq!(parse_run(&slots(&repository), key.as_bytes()), Ok(entry.run.clone()));
            let key = place(&repository, &entry.run);
            prop_assert_eq!(parse_run(&places(&repository), key.as_bytes()), Ok(entry.run));
        }

        #[test]
        fn nothing_panics_and_what_is_read_is_what_is_written(text in ".{0,60}") {
            let key = format!("{}{text}", queue(&repository("ns/repo")));
            if let Ok(entry) = parse_waiting(&queue(&repository("ns/repo")), key.as_bytes()) {
                prop_assert_eq!(waiting(&repository("ns/repo"), &entry.run, entry.order), key);
            }
        }
    }

    #[test]
    fn no_repository_reads_anothers_keys() {
        let names = ["ns/repo", "ns/repo-2", "ns/repo.2", "ns-2/repo", "repo/ns", "slot/queue"].map(repository);
        let run = RunKey::new("ns", "repo", "uid").unwrap();
        for one in &names {
            for other in names.iter().filter(|other| *other != one) {
                let keys = [
                    slot(other, &run),
                    place(other, &run),
                    waiting(other, &run, OrderKey::alone(1)),
                    chunk(other, "id", 1),
                    version(other),
                ];
                for prefix in [slots(one), places(one), queue(one), staged(one)] {
                    assert!(keys.iter().all(|key| !key.starts_with(&prefix)), "{prefix} {keys:?}");
                }
            }
        }
    }

    #[test]
    fn a_key_that_is_none_of_ours_is_refused() {
        let prefix = queue(&repository("ns/repo"));
        for rest in [
            "",
            "x",
            "1,2,3,ns,run,uid",
            "10000000000000000001,0000000000,10000000000000000001,ns,run",
            "10000000000000000001,0000000000,10000000000000000001,ns,run,uid,more",
            "+0000000000000000001,0000000000,10000000000000000001,ns,run,uid",
            "19999999999999999999,0000000000,10000000000000000001,ns,run,uid",
            "10000000000000000001,+000000000,10000000000000000001,ns,run,uid",
            "10000000000000000001,0000000000,10000000000000000001,NS,run,uid",
        ] {
            assert!(parse_waiting(&prefix, format!("{prefix}{rest}").as_bytes()).is_err(), "{rest}");
        }
        assert!(parse_waiting(&prefix, b"/elsewhere").is_err());
        assert!(parse_version(b"/pac/concurrency/v2/version/ns").is_err());
        assert!(parse_version(b"/pac/concurrency/v2/version/ns/\xff").is_err());
        assert!(parse_run(&prefix, format!("{prefix}ns/run").as_bytes()).is_err());
    }
}
