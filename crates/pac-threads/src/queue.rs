//! What threads do with the queue of work.

crate::scenario::of_queue!(crate::work_queue);
