SELECT pg_notify('pac_concurrency', message) FROM unnest($1::text[]) AS message
