-- What an earlier version left, in its own order. A slot that expired was counted by nobody any more: its run waits.
SELECT id::text AS id, repository_key, pipeline_run_key,
    state = 'running' AND (expires_at IS NULL OR expires_at > now()) AS running
FROM public.concurrency_slots
WHERE state IN ('running', 'queued')
ORDER BY (state = 'queued'), created_at, id
