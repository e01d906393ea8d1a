-- Without a foreign key: to check one would lock the repository's row, for which commits wait.
INSERT INTO pac_concurrency.past (repository, past)
SELECT $1, $2 WHERE EXISTS (SELECT 1 FROM pac_concurrency.repositories WHERE repository = $1)
ON CONFLICT (repository) DO UPDATE SET past = excluded.past, kept_at = now()
