//! Tasks that must not end unnoticed.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tracing::error;

/// What the process ends with: an error in the program itself, as sysexits.h has it.
const EXIT_CODE: i32 = 70;

/// Runs `task`. If it panics the process ends: without it a watcher would look well and admit nobody, or lead without a
/// lease. Whoever started the process starts another, and a standby takes over meanwhile.
pub(crate) async fn abort_on_panic<T>(name: &'static str, task: impl Future<Output = T>) -> T {
    match AssertUnwindSafe(task).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => {
            error!(task = name, "{name} panicked, which is a bug of the watcher; it ends, so that another takes over");
            std::process::exit(EXIT_CODE)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const INSIDE: &str = "PAC_TEST_VITAL";

    #[tokio::test]
    #[allow(clippy::panic, reason = "it is about that")]
    async fn the_process_ends_with_the_task() {
        if std::env::var_os(INSIDE).is_some() {
            abort_on_panic("a test", async { panic!("on purpose") }).await
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "abort_on_panic::tests::the_process_ends_with_the_task"]).env(INSIDE, "1");
        assert_eq!(again.output().unwrap().status.code(), Some(EXIT_CODE));
        assert_eq!(abort_on_panic("another", async { 7 }).await, 7);
    }
}
