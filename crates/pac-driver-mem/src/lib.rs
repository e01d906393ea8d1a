//! The memory driver: slots and queues in this process alone.
