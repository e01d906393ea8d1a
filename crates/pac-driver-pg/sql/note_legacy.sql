INSERT INTO pac_concurrency.legacy (source, slots, waiting, ghosts) VALUES ('public.concurrency_slots', $1, $2, $3)
ON CONFLICT DO NOTHING
