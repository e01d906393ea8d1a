SELECT pac_concurrency.forget($1, $2)
