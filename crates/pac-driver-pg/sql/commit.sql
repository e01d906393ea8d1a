-- What it says of a version that isn't there any more waits for a standby as a commit does: see load.sql.
SELECT done, CASE WHEN NOT done AND current_setting('synchronous_standby_names') <> ''
    THEN pg_logical_emit_message(true, 'pac_concurrency', ''::text) END
FROM pac_concurrency.commit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) AS done
