//! The log: JSON where a machine reads it, text where a person does.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::cli::{LogFormat, Place};

/// Libraries that say of every failed request that it failed, without saying which: whoever sent it says that, once. A level
/// asked for by name, as in `info,kube_client=debug`, comes later and wins.
const QUIET: &str = "kube_client=off,kube_runtime=off,tower_http=off";

/// Starts logging to standard error; an error says what is wrong with the level asked for.
pub(crate) fn start(place: &Place) -> Result<(), String> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", place.log_level))
        .map_err(|error| format!("--log-level {:?} is neither a level nor a filter: {error}", place.log_level))?;
    let terminal = std::io::stderr().is_terminal();
    let format = place.log_format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let builder = SubscriberBuilder::default().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(terminal).with_target(false).init(),
    }
    Ok(())
}
