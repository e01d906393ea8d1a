DELETE FROM pac_concurrency.leases WHERE holder = $1
