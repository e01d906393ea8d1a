-- One statement, so one instant: what is known of repository $1, with at most $2 (null: all) of those waiting.
SELECT 'repository' AS kind, version, waiting_count, NULL AS namespace, NULL AS name, NULL AS uid,
    NULL::bigint AS event_created, NULL::bigint AS position, NULL::bigint AS created, NULL AS holder, NULL::boolean AS lapsed
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
