//! The etcd driver: slots and queues under one key prefix.
