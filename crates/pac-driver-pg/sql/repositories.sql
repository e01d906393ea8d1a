SELECT repository, version FROM pac_concurrency.repositories
