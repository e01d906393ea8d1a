-- The same as before, a run at a time, each found by its whole key.
--
-- Deletes and inserts that were joined to the arrays were planned anew for most calls, and went through the index by bitmap,
-- which never marks the entries of rows long gone: a busy queue grew slower until the next vacuum. By the whole key the plan
-- is always the same one, made once a connection.

CREATE OR REPLACE FUNCTION pac_concurrency.commit(
    p_repository text, p_expected bigint, p_version bigint, p_holder text,
    p_actions text[], p_namespaces text[], p_names text[], p_uids text[],
    p_event_created bigint[], p_positions bigint[], p_created bigint[]
) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    joined_queue bigint := 0;
    -- Of one run: its action, its name in three parts, and its place.
    act text;
    ns text;
    run text;
    uid text;
    event bigint;
    pos bigint;
    made bigint;
BEGIN
    -- The first statement waits for the repository's row. Those after it see what whoever had that row before committed,
    -- because in a volatile function every statement has a snapshot of its own.
    IF p_expected = 0 THEN
        INSERT INTO pac_concurrency.repositories (repository, version) VALUES (p_repository, p_version)
        ON CONFLICT DO NOTHING;
    ELSE
        UPDATE pac_concurrency.repositories SET version = p_version
        WHERE repository = p_repository AND version = p_expected;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    FOR i IN 1 .. cardinality(p_actions) LOOP
        act := p_actions[i];
        ns := p_namespaces[i];
        run := p_names[i];
        uid := p_uids[i];
        IF act = 'release' THEN
            DELETE FROM pac_concurrency.slots
            WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid;
            -- A run has a slot or waits, never both.
            CONTINUE WHEN FOUND;
            DELETE FROM pac_concurrency.waiting
            WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid;
            IF FOUND THEN
                joined_queue := joined_queue - 1;
            END IF;
        ELSIF act = 'give_back' THEN
            DELETE FROM pac_concurrency.slots
            WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid
            RETURNING event_created, position, created INTO event, pos, made;
            CONTINUE WHEN NOT FOUND;
            INSERT INTO pac_concurrency.waiting
                (repository, run_namespace, run_name, run_uid, event_created, position, created)
            VALUES (p_repository, ns, run, uid, event, pos, made) ON CONFLICT DO NOTHING;
            IF FOUND THEN
                joined_queue := joined_queue + 1;
            END IF;
        ELSIF act = 'enqueue' THEN
            PERFORM 1 FROM pac_concurrency.slots
            WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid;
            CONTINUE WHEN FOUND;
            INSERT INTO pac_concurrency.waiting
                (repository, run_namespace, run_name, run_uid, event_created, position, created)
            VALUES (p_repository, ns, run, uid, p_event_created[i], p_positions[i], p_created[i])
            ON CONFLICT DO NOTHING;
            IF FOUND THEN
                joined_queue := joined_queue + 1;
            END IF;
        ELSIF act = 'hold' THEN
            -- The place it has in the queue is kept with the slot. With a slot already, only its holder changes.
            DELETE FROM pac_concurrency.waiting
            WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid
            RETURNING event_created, position, created INTO event, pos, made;
            IF FOUND THEN
                joined_queue := joined_queue - 1;
            ELSE
                event := p_event_created[i];
                pos := p_positions[i];
                made := p_created[i];
            END IF;
            INSERT INTO pac_concurrency.slots
                (repository, run_namespace, run_name, run_uid, event_created, position, created, holder)
            VALUES (p_repository, ns, run, uid, event, pos, made, p_holder)
            ON CONFLICT (repository, run_namespace, run_name, run_uid) DO UPDATE SET holder = excluded.holder;
        ELSE
            RAISE EXCEPTION 'unknown action %', act;
        END IF;
    END LOOP;

    IF joined_queue <> 0 THEN
        UPDATE pac_concurrency.repositories SET waiting_count = greatest(waiting_count + joined_queue, 0)
        WHERE repository = p_repository;
    END IF;
    RETURN true;
END
$$;
