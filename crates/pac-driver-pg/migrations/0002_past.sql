-- What happened lately in each queue, for people: nothing is decided by it. Written by the watcher that leads, now and then.
CREATE TABLE pac_concurrency.past (
    repository text COLLATE "C" PRIMARY KEY,
    past text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);

-- As before, and the past goes, too.
CREATE OR REPLACE FUNCTION pac_concurrency.forget(p_repository text, p_expected bigint)
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
    DELETE FROM pac_concurrency.past WHERE repository = p_repository;
    RETURN true;
END
$$;
