//! What the earlier implementation left is found, once, and never changed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use pac_concurrency::{Driver, LegacyImport};

use crate::support::Server;

/// The earlier implementation's tables, owned by the user of the watcher, as then.
const TABLES: &str = "
    CREATE TABLE public.concurrency_slots (
        id SERIAL PRIMARY KEY,
        repository_key VARCHAR(255) NOT NULL,
        pipeline_run_key VARCHAR(255) NOT NULL,
        state VARCHAR(50) NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'queued', 'released')),
        acquired_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        expires_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        UNIQUE (repository_key, pipeline_run_key)
    );
    ALTER TABLE public.concurrency_slots OWNER TO pac_user;
    CREATE TABLE public.repository_states (repository_key VARCHAR(255) PRIMARY KEY, state VARCHAR(50), updated_at TIMESTAMPTZ);
    CREATE TABLE public.pipeline_run_states (pipeline_run_key VARCHAR(255) PRIMARY KEY, state VARCHAR(50), updated_at TIMESTAMPTZ);";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_was_left_in_a_new_database() {
    let server = Server::start();
    assert_eq!(server.connect().await.legacy_source().unwrap().read().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_and_queues_are_read_in_their_own_order() {
    let server = Server::start();
    server.ask(TABLES);
    server.ask(
        "INSERT INTO public.concurrency_slots (repository_key, pipeline_run_key, state, expires_at, created_at) VALUES
            ('ns/repo', 'ns/late', 'queued', NULL, now() + interval '9 seconds'),
            ('ns/repo', 'ns/lapsed', 'running', now() - interval '1 hour', now() - interval '2 hours'),
            ('ns/repo', 'ns/runs', 'running', now() + interval '1 hour', now()),
            ('ns/repo', 'ns/early', 'queued', NULL, now()),
            ('ns/repo', 'ns/over', 'released', NULL, now()),
            ('ns/other', 'ns/one', 'queued', NULL, now()),
            ('no repository', 'ns/x', 'queued', NULL, now())",
    );
    let driver = server.connect().await;
    let legacy = driver.legacy_source().unwrap().read().await.unwrap().unwrap();
    let [other, repo] = &legacy.repositories[..] else { panic!("{legacy:?}") };
    assert_eq!((other.repository.as_str(), &other.queued[..]), ("ns/other", &["ns/one".to_owned()][..]));
    assert_eq!(repo.running, ["ns/runs"]);
    // The one whose slot ran out had it before those who waited.
    assert_eq!(repo.queued, ["ns/lapsed", "ns/early", "ns/late"]);
    assert_eq!(legacy.corrupt.len(), 1);
    assert!(legacy.corrupt[0].place.contains("row 7"), "{:?}", legacy.corrupt);
    let taken = LegacyImport { repositories: 2, slots: 1, waiting: 4, ghosts: 0, corrupt: 1 };
    driver.legacy_source().unwrap().note_imported(&taken).await.unwrap();
    driver.legacy_source().unwrap().note_imported(&taken).await.unwrap();
    assert_eq!(driver.legacy_source().unwrap().read().await.unwrap(), None);
    assert_eq!(server.ask("SELECT count(*) FROM public.concurrency_slots"), "7");
    // It can be undone.
    server.ask("DELETE FROM pac_concurrency.legacy");
    assert_eq!(driver.legacy_source().unwrap().read().await.unwrap(), Some(legacy));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_may_not_be_read_is_named_with_the_grant() {
    let server = Server::start();
    server.ask(TABLES);
    server.ask("ALTER TABLE public.concurrency_slots OWNER TO postgres");
    let error = server.connect().await.legacy_source().unwrap().read().await.unwrap_err();
    assert!(error.to_string().contains("GRANT SELECT ON public.concurrency_slots TO \"pac_user\""), "{error}");
}
