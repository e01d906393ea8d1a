-- Slots and queues, one version per repository.
--
-- Names sort by their bytes (COLLATE "C"), as they do in the watcher: a queue has one order, whatever the database's locale.
-- Namespace and name of a run are columns of their own, because joined they would sort differently (`a-b/x` before `a/x`).

CREATE TABLE pac_concurrency.repositories (
    repository text COLLATE "C" PRIMARY KEY,
    -- A random number, new with every commit: a number counted up could come back after a fail-over to a standby that
    -- had missed the last commits, and stand for another state.
    version bigint NOT NULL,
    -- How many rows `waiting` has for it, kept by `commit`: counting a long queue takes too long.
    waiting_count bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE pac_concurrency.slots (
    repository text COLLATE "C" NOT NULL,
    run_namespace text COLLATE "C" NOT NULL,
    run_name text COLLATE "C" NOT NULL,
    run_uid text COLLATE "C" NOT NULL,
    -- The place it had in the queue, and returns to when it is given back.
    event_created bigint NOT NULL,
    position bigint NOT NULL,
    created bigint NOT NULL,
    holder text COLLATE "C" NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository, run_namespace, run_name, run_uid)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE pac_concurrency.waiting (
    repository text COLLATE "C" NOT NULL,
    run_namespace text COLLATE "C" NOT NULL,
    run_name text COLLATE "C" NOT NULL,
    run_uid text COLLATE "C" NOT NULL,
    event_created bigint NOT NULL,
    position bigint NOT NULL,
    created bigint NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (repository, run_namespace, run_name, run_uid)
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- The queue's order: finds the head of any queue at once.
CREATE INDEX waiting_in_order ON pac_concurrency.waiting
    (repository, event_created, position, created, run_namespace, run_name, run_uid);

-- The term of each watcher process. A slot whose holder isn't here, or has expired, has lapsed: it counts all the same.
CREATE TABLE pac_concurrency.leases (
    holder text COLLATE "C" PRIMARY KEY,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- All of a change, if the repository is at version p_expected (0: not known yet), or nothing and false.
--
-- The first statement waits for the repository's row. Those after it see what whoever had that row before committed,
-- because in a volatile function every statement has a snapshot of its own; in a single statement with sub-selects they
-- would see what was there before the wait.
CREATE FUNCTION pac_concurrency.commit(
    p_repository text, p_expected bigint, p_version bigint, p_holder text,
    p_actions text[], p_namespaces text[], p_names text[], p_uids text[],
    p_event_created bigint[], p_positions bigint[], p_created bigint[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    joined_queue bigint := 0;
    touched bigint;
BEGIN
    IF p_expected = 0 THEN
        INSERT INTO pac_concurrency.repositories (repository, version) VALUES (p_repository, p_version)
        ON CONFLICT DO NOTHING;
    ELSE
        PERFORM 1 FROM pac_concurrency.repositories
        WHERE repository = p_repository AND version = p_expected FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    IF 'release' = ANY (p_actions) THEN
        DELETE FROM pac_concurrency.slots s
        USING unnest(p_actions, p_namespaces, p_names, p_uids) AS d(action, namespace, name, uid)
        WHERE d.action = 'release' AND s.repository = p_repository
          AND (s.run_namespace, s.run_name, s.run_uid) = (d.namespace, d.name, d.uid);
        DELETE FROM pac_concurrency.waiting w
        USING unnest(p_actions, p_namespaces, p_names, p_uids) AS d(action, namespace, name, uid)
        WHERE d.action = 'release' AND w.repository = p_repository
          AND (w.run_namespace, w.run_name, w.run_uid) = (d.namespace, d.name, d.uid);
        GET DIAGNOSTICS touched = ROW_COUNT;
        joined_queue := joined_queue - touched;
    END IF;

    IF 'give_back' = ANY (p_actions) THEN
        WITH given_back AS (
            DELETE FROM pac_concurrency.slots s
            USING unnest(p_actions, p_namespaces, p_names, p_uids) AS d(action, namespace, name, uid)
            WHERE d.action = 'give_back' AND s.repository = p_repository
              AND (s.run_namespace, s.run_name, s.run_uid) = (d.namespace, d.name, d.uid)
            RETURNING s.*
        )
        INSERT INTO pac_concurrency.waiting
            (repository, run_namespace, run_name, run_uid, event_created, position, created)
        SELECT repository, run_namespace, run_name, run_uid, event_created, position, created FROM given_back
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS touched = ROW_COUNT;
        joined_queue := joined_queue + touched;
    END IF;

    IF 'enqueue' = ANY (p_actions) THEN
        INSERT INTO pac_concurrency.waiting
            (repository, run_namespace, run_name, run_uid, event_created, position, created)
        SELECT p_repository, d.namespace, d.name, d.uid, d.event_created, d.place, d.created
        FROM unnest(p_actions, p_namespaces, p_names, p_uids, p_event_created, p_positions, p_created)
            AS d(action, namespace, name, uid, event_created, place, created)
        WHERE d.action = 'enqueue' AND NOT EXISTS (
            SELECT 1 FROM pac_concurrency.slots s WHERE s.repository = p_repository
              AND (s.run_namespace, s.run_name, s.run_uid) = (d.namespace, d.name, d.uid)
        )
        ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS touched = ROW_COUNT;
        joined_queue := joined_queue + touched;
    END IF;

    IF 'hold' = ANY (p_actions) THEN
        -- The place it has in the queue is kept with the slot. With a slot already, only its holder changes.
        WITH held AS (
            SELECT DISTINCT ON (d.namespace, d.name, d.uid) d.*
            FROM unnest(p_actions, p_namespaces, p_names, p_uids, p_event_created, p_positions, p_created)
                AS d(action, namespace, name, uid, event_created, place, created)
            WHERE d.action = 'hold'
        ), left_queue AS (
            DELETE FROM pac_concurrency.waiting w USING held d
            WHERE w.repository = p_repository
              AND (w.run_namespace, w.run_name, w.run_uid) = (d.namespace, d.name, d.uid)
            RETURNING w.*
        ), taken AS (
            INSERT INTO pac_concurrency.slots
                (repository, run_namespace, run_name, run_uid, event_created, position, created, holder)
            SELECT p_repository, d.namespace, d.name, d.uid, coalesce(w.event_created, d.event_created),
                coalesce(w.position, d.place), coalesce(w.created, d.created), p_holder
            FROM held d
            LEFT JOIN left_queue w ON (w.run_namespace, w.run_name, w.run_uid) = (d.namespace, d.name, d.uid)
            ON CONFLICT (repository, run_namespace, run_name, run_uid) DO UPDATE SET holder = excluded.holder
        )
        SELECT count(*) INTO touched FROM left_queue;
        joined_queue := joined_queue - touched;
    END IF;

    UPDATE pac_concurrency.repositories
    SET version = p_version, waiting_count = greatest(waiting_count + joined_queue, 0)
    WHERE repository = p_repository;
    RETURN true;
END
$$;

-- All of a repository goes, if it is at version p_expected (0: not known), or nothing and false.
CREATE FUNCTION pac_concurrency.forget(p_repository text, p_expected bigint)
RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF p_expected = 0 THEN
        RETURN NOT EXISTS (SELECT 1 FROM pac_concurrency.repositories WHERE repository = p_repository);
    END IF;
    DELETE FROM pac_concurrency.repositories WHERE repository = p_repository AND version = p_expected;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM pac_concurrency.slots WHERE repository = p_repository;
    DELETE FROM pac_concurrency.waiting WHERE repository = p_repository;
    RETURN true;
END
$$;

-- What was taken over from an earlier version, once. Deleting the row has it taken over again.
CREATE TABLE pac_concurrency.legacy (
    source text PRIMARY KEY,
    slots bigint NOT NULL,
    waiting bigint NOT NULL,
    ghosts bigint NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT now()
);
