-- Whether the user may create the schema, or what belongs into it, and whether what is there is its own to change.
SELECT
    CASE
        WHEN to_regnamespace('pac_concurrency') IS NULL THEN has_database_privilege(current_database(), 'CREATE')
        ELSE has_schema_privilege(to_regnamespace('pac_concurrency'), 'CREATE')
    END AS may_create,
    NOT EXISTS (
        SELECT 1 FROM pg_class
        WHERE relnamespace = to_regnamespace('pac_concurrency') AND NOT pg_has_role(relowner, 'USAGE')
    ) AS owns_all
