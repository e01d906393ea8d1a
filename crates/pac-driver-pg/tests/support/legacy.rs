//! The tables of the earlier implementation, made as it made them.

/// Its schema, owned by the user of the watcher, as then.
pub(crate) const TABLES: &str = "
    CREATE TABLE public.concurrency_slots (
        id SERIAL PRIMARY KEY,
        repository_key VARCHAR(255) NOT NULL,
        pipeline_run_key VARCHAR(255) NOT NULL,
        state VARCHAR(50) NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'queued', 'released')),
        acquired_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        expires_at TIMESTAMP WITH TIME ZONE,
        created_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        updated_at TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
        UNIQUE (repository_key, pipeline_run_key)
    );
    ALTER TABLE public.concurrency_slots OWNER TO pac_user;
    CREATE TABLE public.repository_states (repository_key VARCHAR(255) PRIMARY KEY, state VARCHAR(50), updated_at TIMESTAMPTZ);
    CREATE TABLE public.pipeline_run_states (pipeline_run_key VARCHAR(255) PRIMARY KEY, state VARCHAR(50), updated_at TIMESTAMPTZ);";
