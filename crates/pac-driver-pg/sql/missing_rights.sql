-- Which rights of a watcher the user lacks, of those on what is there; nothing is written to find out.
SELECT needed.object, needed.privilege
FROM (VALUES
    ('repositories', 'SELECT, INSERT, UPDATE, DELETE'),
    ('slots', 'SELECT, INSERT, UPDATE, DELETE'),
    ('waiting', 'SELECT, INSERT, UPDATE, DELETE'),
    ('leases', 'SELECT, INSERT, UPDATE, DELETE'),
    ('past', 'SELECT, INSERT, UPDATE, DELETE'),
    ('legacy', 'SELECT, INSERT'),
    ('migrations', 'SELECT')
) AS granted (object, privileges)
CROSS JOIN LATERAL (
    SELECT object, privilege FROM unnest(string_to_array(privileges, ', ')) AS privilege
) AS needed
WHERE NOT has_table_privilege(to_regclass('pac_concurrency.' || needed.object), needed.privilege)
UNION ALL
SELECT proname::text, 'EXECUTE' FROM pg_proc
WHERE pronamespace = to_regnamespace('pac_concurrency') AND NOT has_function_privilege(oid, 'EXECUTE')
