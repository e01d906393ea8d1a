-- Terms that ran out are cleared away on the occasion: to be gone and to have lapsed is the same.
WITH cleared AS (DELETE FROM pac_concurrency.leases WHERE expires_at <= now() AND holder <> $1)
INSERT INTO pac_concurrency.leases (holder, expires_at) VALUES ($1, now() + make_interval(secs => $2))
ON CONFLICT (holder) DO UPDATE SET expires_at = excluded.expires_at
