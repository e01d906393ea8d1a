-- The oldest transaction for which rows that are no longer needed are kept, and its age in seconds, if we may know that: who
-- holds back to what is shown to everybody, since when only to those who may see what others do.
--
-- Of those that write all count, whatever their database: every snapshot takes them for unfinished. Of those that only read
-- it is those in this database, and those of standbys, which have none.
SELECT held::text AS transaction, extract(epoch FROM clock_timestamp() - since)::float8 AS seconds
FROM (
    SELECT backend_xid AS held, xact_start AS since FROM pg_stat_activity WHERE pid <> pg_backend_pid()
    UNION ALL
    SELECT backend_xmin, xact_start FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND (datid IS NULL OR datid = 0 OR datname = current_database())
    UNION ALL
    SELECT transaction, prepared FROM pg_prepared_xacts
    UNION ALL
    SELECT xmin, NULL FROM pg_replication_slots
) AS holders
WHERE held IS NOT NULL
ORDER BY age(held) DESC
LIMIT 1
