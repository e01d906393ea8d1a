//! Plays a Kubernetes API server in process, for the demo and the tests.
