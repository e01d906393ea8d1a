SELECT pac_concurrency.commit_at($1::tid, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)::text
