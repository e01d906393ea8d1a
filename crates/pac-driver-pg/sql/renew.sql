UPDATE pac_concurrency.leases SET expires_at = now() + make_interval(secs => $2)
WHERE holder = $1 AND expires_at > now()
RETURNING true
