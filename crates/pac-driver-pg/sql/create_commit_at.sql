-- The same as `commit`, for who may know where the repository's row is: its place, from the answer to the commit before. Null,
-- if the repository is not at version p_expected, or the row's place after this.
--
-- By its key the row is found past every version of it that is kept for some transaction left open, and each commit adds one. By
-- its place it is found at once. It is written once a commit, at the end; what locks it before is a lock alone.
--
-- No part of the schema's version: watchers that don't know it, or may not create it, use `commit` beside it. Never changed
-- once released; another one has another name.
CREATE FUNCTION pac_concurrency.commit_at(
    p_place tid, p_repository text, p_expected bigint, p_version bigint, p_holder text,
    p_actions text[], p_namespaces text[], p_names text[], p_uids text[],
    p_event_created bigint[], p_positions bigint[], p_created bigint[]
) RETURNS tid LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    place tid;
    joined_queue bigint := 0;
    -- Of one run: its action, its name in three parts, and its place in the queue.
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
        ON CONFLICT DO NOTHING RETURNING ctid INTO place;
    ELSE
        SELECT ctid INTO place FROM pac_concurrency.repositories
        WHERE ctid = p_place AND repository = p_repository AND version = p_expected FOR UPDATE;
        IF place IS NULL THEN
            SELECT ctid INTO place FROM pac_concurrency.repositories
            WHERE repository = p_repository AND version = p_expected FOR UPDATE;
        END IF;
    END IF;
    IF place IS NULL THEN
        RETURN NULL;
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
            -- By the place in the queue that it mostly has, both indexes lead to this row alone: without it, the planner may
            -- take the one in order, and read the whole queue.
            DELETE FROM pac_concurrency.waiting
            WHERE repository = p_repository AND event_created = p_event_created[i] AND position = p_positions[i]
              AND created = p_created[i] AND run_namespace = ns AND run_name = run AND run_uid = uid
            RETURNING event_created, position, created INTO event, pos, made;
            IF NOT FOUND THEN
                DELETE FROM pac_concurrency.waiting
                WHERE repository = p_repository AND run_namespace = ns AND run_name = run AND run_uid = uid
                RETURNING event_created, position, created INTO event, pos, made;
            END IF;
            -- The place it has in the queue is kept with the slot. With a slot already, only its holder changes.
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

    IF p_expected <> 0 OR joined_queue <> 0 THEN
        UPDATE pac_concurrency.repositories
        SET version = p_version, waiting_count = greatest(waiting_count + joined_queue, 0)
        WHERE ctid = place
        RETURNING ctid INTO STRICT place;
    END IF;
    RETURN place;
END
$$;
-- It runs with the rights of who calls it, so that to call it is no right of its own.
GRANT EXECUTE ON FUNCTION pac_concurrency.commit_at TO PUBLIC;
