SELECT holder FROM pac_concurrency.leases WHERE expires_at > now()
