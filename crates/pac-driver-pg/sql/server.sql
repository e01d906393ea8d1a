-- A server whose commits wait for a standby that isn't there takes none, and so doesn't answer this: see load.sql.
SELECT current_setting('server_version') AS version,
    pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS only_reads,
    CASE WHEN NOT pg_is_in_recovery() AND current_setting('synchronous_standby_names') <> ''
        THEN pg_logical_emit_message(true, 'pac_concurrency', ''::text) END
