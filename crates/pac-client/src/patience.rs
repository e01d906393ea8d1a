//! How long a command waits for a server.

use std::fmt::Display;
use std::time::Duration;

use clap::Args;
use pac_config::parse_duration;

/// See the [module](self).
#[derive(Debug, Clone, Copy, Args)]
pub struct Patience {
    /// How long one request to the API server or the watcher may take, like 500ms, 10s or 1m.
    #[arg(long, env = "PAC_WATCHER_REQUEST_TIMEOUT", default_value = "10s", value_name = "DURATION", global = true)]
    #[arg(value_parser = duration)]
    pub request_timeout: Duration,
}

// === impl Patience ===

impl Patience {
    /// What `asked` comes to; an error says that `whom` did not answer in time.
    pub async fn wait<T>(self, whom: impl Display, asked: impl Future<Output = T>) -> Result<T, String> {
        let answered = tokio::time::timeout(self.request_timeout, asked).await;
        answered.map_err(|_| format!("no answer from {whom} within {:?} (--request-timeout)", self.request_timeout))
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let bounds = Duration::from_millis(1)..=Duration::from_secs(3600);
    if bounds.contains(&duration) { Ok(duration) } else { Err("from 1ms to 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_a_duration_within_reason() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)), "as in the settings");
        for wrong in ["", "-1s", "0s", "2h"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn whoever_is_silent_is_named() {
        let patience = Patience { request_timeout: Duration::from_millis(15) };
        let silent = patience.wait("the API server", std::future::pending::<()>()).await;
        assert_eq!(silent.unwrap_err(), "no answer from the API server within 15ms (--request-timeout)");
        assert_eq!(patience.wait("it", async { 7 }).await, Ok(7));
    }
}
