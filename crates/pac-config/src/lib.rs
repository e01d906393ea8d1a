//! Settings of the concurrency system: text in, typed settings out.
