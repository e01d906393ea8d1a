CREATE SCHEMA pac_concurrency;

CREATE FUNCTION pac_concurrency.commit(p_repository text, p_expected bigint, p_version bigint, p_holder text, p_actions text[], p_namespaces text[], p_names text[], p_uids text[], p_event_created bigint[], p_positions bigint[], p_created bigint[]) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION pac_concurrency.forget(p_repository text, p_expected bigint) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
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
    DELETE FROM pac_concurrency.past WHERE repository = p_repository;
    RETURN true;
END
$$;

CREATE TABLE pac_concurrency.leases (
    holder text NOT NULL COLLATE pg_catalog."C",
    expires_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE pac_concurrency.legacy (
    source text NOT NULL,
    slots bigint NOT NULL,
    waiting bigint NOT NULL,
    ghosts bigint NOT NULL,
    taken_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pac_concurrency.migrations (
    version integer NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pac_concurrency.past (
    repository text NOT NULL COLLATE pg_catalog."C",
    past text NOT NULL,
    kept_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE pac_concurrency.repositories (
    repository text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    waiting_count bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE pac_concurrency.slots (
    repository text NOT NULL COLLATE pg_catalog."C",
    run_namespace text NOT NULL COLLATE pg_catalog."C",
    run_name text NOT NULL COLLATE pg_catalog."C",
    run_uid text NOT NULL COLLATE pg_catalog."C",
    event_created bigint NOT NULL,
    "position" bigint NOT NULL,
    created bigint NOT NULL,
    holder text NOT NULL COLLATE pg_catalog."C",
    taken_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');

CREATE TABLE pac_concurrency.waiting (
    repository text NOT NULL COLLATE pg_catalog."C",
    run_namespace text NOT NULL COLLATE pg_catalog."C",
    run_name text NOT NULL COLLATE pg_catalog."C",
    run_uid text NOT NULL COLLATE pg_catalog."C",
    event_created bigint NOT NULL,
    "position" bigint NOT NULL,
    created bigint NOT NULL,
    enqueued_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0.05');

INSERT INTO pac_concurrency.leases VALUES ('third:6326a60ad13d4bdcaefe1e8501f9a04a', '2026-11-26 10:17:44.069054+00');

INSERT INTO pac_concurrency.migrations VALUES (1, '2026-11-26 09:17:35.127701+00');
INSERT INTO pac_concurrency.migrations VALUES (2, '2026-11-26 09:17:35.127701+00');
INSERT INTO pac_concurrency.migrations VALUES (3, '2026-11-26 09:17:35.127701+00');

INSERT INTO pac_concurrency.past VALUES ('team-2/repo-2', '{"records":[{"at":"2026-11-26T09:17:40.951Z","run":"team-2/run","uid":"34ff02af-c28a-4512-a69e-ababb416a9de","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:40.953Z","run":"team-2/run","uid":"34ff02af-c28a-4512-a69e-ababb416a9de","what":"started"},{"at":"2026-11-26T09:17:40.964Z","what":"paused","reason":"for a moment","until":"2026-11-26T09:17:42Z"},{"at":"2026-11-26T09:17:42.001Z","what":"resumed"},{"at":"2026-11-26T09:17:42.025Z","run":"team-2/run","uid":"34ff02af-c28a-4512-a69e-ababb416a9de","what":"released","why":"it succeeded","held_for":1.074}],"held_for":[1.074]}', '2026-11-26 09:17:42.047245+00');
INSERT INTO pac_concurrency.past VALUES ('team-1/repo-1', '{"records":[{"at":"2026-11-26T09:17:40.882Z","run":"team-1/run-1","uid":"b64395de-1490-48bb-9975-0ff58be44dc1","what":"queued","position":1},{"at":"2026-11-26T09:17:40.882Z","run":"team-1/run-2","uid":"971ba4d9-e703-421a-8da3-bf96975f1445","what":"queued","position":2},{"at":"2026-11-26T09:17:40.882Z","run":"team-1/run-3","uid":"c78d2bf0-8540-454a-8417-1dbd41571467","what":"queued","position":3},{"at":"2026-11-26T09:17:40.882Z","run":"team-1/run-0","uid":"4941b927-5896-4cf4-b441-feb6942090dc","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:40.889Z","run":"team-1/run-0","uid":"4941b927-5896-4cf4-b441-feb6942090dc","what":"started"},{"at":"2026-11-26T09:17:40.905Z","what":"paused","reason":"the node is drained"},{"at":"2026-11-26T09:17:40.908Z","what":"resumed","reason":"it is back"},{"at":"2026-11-26T09:17:40.91Z","what":"paused","reason":"the registry moves"},{"at":"2026-11-26T09:17:40.921Z","run":"team-1/run-3","uid":"c78d2bf0-8540-454a-8417-1dbd41571467","what":"released","why":"it is gone: deleted, or made again under its name"},{"at":"2026-11-26T09:17:43.074Z","run":"team-1/run-0","uid":"4941b927-5896-4cf4-b441-feb6942090dc","what":"taken-over","holder":"second:b1ca611042234ab6aa32e86d8d0e546c"}],"held_for":[]}', '2026-11-26 09:17:43.245067+00');
INSERT INTO pac_concurrency.past VALUES ('team-0/repo-0', '{"records":[{"at":"2026-11-26T09:17:36.05Z","run":"team-0/found","uid":"79c39e07-e2c7-427a-a254-955d9eb8beaf","what":"adopted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:36.077Z","run":"team-0/one-0","uid":"16b3c31b-6f22-4017-b420-fea280c926d3","what":"queued","position":1},{"at":"2026-11-26T09:17:36.077Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"queued","position":2},{"at":"2026-11-26T09:17:36.077Z","run":"team-0/one-2","uid":"f9442df2-54e8-404c-b326-9081264f9b40","what":"queued","position":3},{"at":"2026-11-26T09:17:36.077Z","run":"team-0/one-3","uid":"4490066e-e453-44ca-8277-8c41fb4868bd","what":"queued","position":4},{"at":"2026-11-26T09:17:36.122Z","what":"limit-changed","from":"1","to":"2"},{"at":"2026-11-26T09:17:36.122Z","run":"team-0/one-0","uid":"16b3c31b-6f22-4017-b420-fea280c926d3","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:36.124Z","run":"team-0/one-0","uid":"16b3c31b-6f22-4017-b420-fea280c926d3","what":"started"},{"at":"2026-11-26T09:17:36.166Z","run":"team-0/one-0","uid":"16b3c31b-6f22-4017-b420-fea280c926d3","what":"released","why":"it succeeded","held_for":0.044},{"at":"2026-11-26T09:17:36.166Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:36.169Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"refused","why":"not yet"},{"at":"2026-11-26T09:17:36.172Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"given-back"},{"at":"2026-11-26T09:17:36.172Z","run":"team-0/one-2","uid":"f9442df2-54e8-404c-b326-9081264f9b40","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:36.172Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"passed-over","by":"team-0/one-2","why":"not yet"},{"at":"2026-11-26T09:17:36.174Z","run":"team-0/one-2","uid":"f9442df2-54e8-404c-b326-9081264f9b40","what":"started"},{"at":"2026-11-26T09:17:36.198Z","run":"team-0/found","uid":"79c39e07-e2c7-427a-a254-955d9eb8beaf","what":"released","why":"an operator released it: its node is gone","by_operator":true,"held_for":0.148},{"at":"2026-11-26T09:17:36.198Z","run":"team-0/one-3","uid":"4490066e-e453-44ca-8277-8c41fb4868bd","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:36.202Z","run":"team-0/one-3","uid":"4490066e-e453-44ca-8277-8c41fb4868bd","what":"started"},{"at":"2026-11-26T09:17:36.204Z","run":"team-0/one-2","uid":"f9442df2-54e8-404c-b326-9081264f9b40","what":"released","why":"it failed or was cancelled","held_for":0.032},{"at":"2026-11-26T09:17:40.813Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"admitted","holder":"first:8e90284cfaad4ea2a97afe44213cac32"},{"at":"2026-11-26T09:17:40.818Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"started"},{"at":"2026-11-26T09:17:40.852Z","run":"team-0/two-0","uid":"7b8a198d-a2eb-49b2-b3fb-7a5b410f6c1c","what":"queued","position":1},{"at":"2026-11-26T09:17:40.852Z","run":"team-0/two-1","uid":"d5f197bb-582d-4cbc-8a94-ed01dd3823fb","what":"queued","position":2},{"at":"2026-11-26T09:17:40.852Z","run":"team-0/two-2","uid":"61d42865-904e-4843-a2e9-1628b91f07dd","what":"queued","position":3},{"at":"2026-11-26T09:17:40.852Z","run":"team-0/two-3","uid":"79c69a24-916f-446d-a13a-77a5964c1a47","what":"queued","position":4},{"at":"2026-11-26T09:17:43.234Z","run":"team-0/one-1","uid":"8e157e36-6bb6-48b6-b5ac-5053ba410970","what":"taken-over","holder":"second:b1ca611042234ab6aa32e86d8d0e546c"},{"at":"2026-11-26T09:17:43.234Z","run":"team-0/one-3","uid":"4490066e-e453-44ca-8277-8c41fb4868bd","what":"taken-over","holder":"second:b1ca611042234ab6aa32e86d8d0e546c"}],"held_for":[0.044,0.032]}', '2026-11-26 09:17:43.257074+00');

INSERT INTO pac_concurrency.repositories VALUES ('team-2/repo-2', 4666249180922615078, 0);
INSERT INTO pac_concurrency.repositories VALUES ('team-1/repo-1', 6343773424230616535, 2);
INSERT INTO pac_concurrency.repositories VALUES ('team-0/repo-0', 2278825883328502231, 3);

INSERT INTO pac_concurrency.slots VALUES ('team-0/repo-0', 'team-0', 'one-3', '4490066e-e453-44ca-8277-8c41fb4868bd', 1795684656, 3, 1795684656, 'third:6326a60ad13d4bdcaefe1e8501f9a04a', '2026-11-26 09:17:36.182614+00');
INSERT INTO pac_concurrency.slots VALUES ('team-1/repo-1', 'team-1', 'run-0', '4941b927-5896-4cf4-b441-feb6942090dc', 1795684660, 0, 1795684660, 'third:6326a60ad13d4bdcaefe1e8501f9a04a', '2026-11-26 09:17:40.866761+00');
INSERT INTO pac_concurrency.slots VALUES ('team-0/repo-0', 'team-0', 'two-0', '7b8a198d-a2eb-49b2-b3fb-7a5b410f6c1c', 1795684660, 0, 1795684660, 'third:6326a60ad13d4bdcaefe1e8501f9a04a', '2026-11-26 09:17:44.910906+00');

INSERT INTO pac_concurrency.waiting VALUES ('team-0/repo-0', 'team-0', 'two-1', 'd5f197bb-582d-4cbc-8a94-ed01dd3823fb', 1795684660, 1, 1795684660, '2026-11-26 09:17:40.838068+00');
INSERT INTO pac_concurrency.waiting VALUES ('team-0/repo-0', 'team-0', 'two-2', '61d42865-904e-4843-a2e9-1628b91f07dd', 1795684660, 2, 1795684660, '2026-11-26 09:17:40.838068+00');
INSERT INTO pac_concurrency.waiting VALUES ('team-0/repo-0', 'team-0', 'two-3', '79c69a24-916f-446d-a13a-77a5964c1a47', 1795684660, 3, 1795684660, '2026-11-26 09:17:40.838068+00');
INSERT INTO pac_concurrency.waiting VALUES ('team-1/repo-1', 'team-1', 'run-1', 'b64395de-1490-48bb-9975-0ff58be44dc1', 1795684660, 1, 1795684660, '2026-11-26 09:17:40.866761+00');
INSERT INTO pac_concurrency.waiting VALUES ('team-1/repo-1', 'team-1', 'run-2', '971ba4d9-e703-421a-8da3-bf96975f1445', 1795684660, 2, 1795684660, '2026-11-26 09:17:40.866761+00');

ALTER TABLE ONLY pac_concurrency.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (holder);

ALTER TABLE ONLY pac_concurrency.legacy
    ADD CONSTRAINT legacy_pkey PRIMARY KEY (source);

ALTER TABLE ONLY pac_concurrency.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY pac_concurrency.past
    ADD CONSTRAINT past_pkey PRIMARY KEY (repository);

ALTER TABLE ONLY pac_concurrency.repositories
    ADD CONSTRAINT repositories_pkey PRIMARY KEY (repository);

ALTER TABLE ONLY pac_concurrency.slots
    ADD CONSTRAINT slots_pkey PRIMARY KEY (repository, run_namespace, run_name, run_uid);

ALTER TABLE ONLY pac_concurrency.waiting
    ADD CONSTRAINT waiting_pkey PRIMARY KEY (repository, run_namespace, run_name, run_uid);

CREATE INDEX waiting_in_order ON pac_concurrency.waiting USING btree (repository, event_created, "position", created, run_namespace, run_name, run_uid);
