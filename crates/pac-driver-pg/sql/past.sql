SELECT past FROM pac_concurrency.past WHERE repository = $1
