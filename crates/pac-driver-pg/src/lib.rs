//! The PostgreSQL driver: slots and queues in a schema of their own.
