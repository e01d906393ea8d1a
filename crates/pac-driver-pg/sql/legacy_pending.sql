-- Whether an earlier version's table is there, and nobody has noted that it was taken over.
SELECT to_regclass('public.concurrency_slots') IS NOT NULL AND NOT EXISTS (SELECT 1 FROM pac_concurrency.legacy)
