-- One statement, so one instant: what is known of repository $1, with at most $2 (null: all) of those waiting.
--
-- Where commits wait for a standby this waits, too, until one has all that is shown: it writes a message that nobody reads. For a server
-- shows what it alone has, once a wait was broken off or it was restarted; and one whose standby was promoted shows what was, until it finds
-- out.
SELECT 'server' AS kind, NULL::bigint AS version, NULL::bigint AS waiting_count, NULL AS namespace, NULL AS name, NULL AS uid,
    NULL::bigint AS event_created, NULL::bigint AS position, NULL::bigint AS created,
    CASE WHEN NOT pg_is_in_recovery() AND current_setting('synchronous_standby_names') <> ''
        THEN pg_logical_emit_message(true, 'pac_concurrency', ''::text)::text END AS holder,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS lapsed
UNION ALL
SELECT 'repository', version, waiting_count, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM pac_concurrency.repositories
WHERE repository = $1
UNION ALL
SELECT 'slot', NULL, NULL, s.run_namespace, s.run_name, s.run_uid, s.event_created, s.position, s.created, s.holder,
    l.expires_at IS NULL OR l.expires_at <= now()
FROM pac_concurrency.slots s
LEFT JOIN pac_concurrency.leases l ON l.holder = s.holder
WHERE s.repository = $1
UNION ALL
(
    SELECT 'waiting', NULL, NULL, run_namespace, run_name, run_uid, event_created, position, created, NULL, NULL
    FROM pac_concurrency.waiting
    WHERE repository = $1
    ORDER BY repository, event_created, position, created, run_namespace, run_name, run_uid
    LIMIT $2
)
