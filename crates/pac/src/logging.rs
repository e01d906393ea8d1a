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
    let filter = filter(&place.log_level)?;
    let terminal = std::io::stderr().is_terminal();
    let format = place.log_format.unwrap_or(if terminal { LogFormat::Text } else { LogFormat::Json });
    let builder = SubscriberBuilder::default().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).init(),
        LogFormat::Text => builder.with_ansi(terminal).with_target(false).init(),
    }
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(format!("{QUIET},{level}"))
        .map_err(|error| format!("--log-level {level:?} is neither a level nor a filter: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use tracing::{Level, enabled};
    use tracing_subscriber::prelude::*;

    use super::*;
    use crate::cli::Cli;

    macro_rules! is_debugged {
        ($($target:literal),+) => { [$(($target, enabled!(target: $target, Level::DEBUG))),+] };
    }

    #[test]
    fn the_filter_that_the_help_names_is_for_all_of_ours_and_nothing_else() {
        let mut cli = Cli::command();
        let help = cli.find_subcommand_mut("run").unwrap().render_long_help().to_string();
        let (_, named) = help.split_once("or a filter such as ").unwrap();
        let named = named.split_once(',').unwrap().0;
        let subscriber = tracing_subscriber::registry().with(filter(named).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            let ours = is_debugged!(
                "pac_client",
                "pac_concurrency",
                "pac_config",
                "pac_driver_etcd",
                "pac_driver_mem",
                "pac_driver_pg",
                "pac_kube",
                "pac_shadow",
                "pac_state::health",
                "pac_view",
                "pac_watcher::engine",
                "pac_webhook"
            );
            assert!(ours.iter().all(|(_, enabled)| *enabled), "{named}: {ours:?}");
            let others = is_debugged!("kube_client", "hyper", "sqlx");
            assert!(others.iter().all(|(_, enabled)| !*enabled), "{named}: {others:?}");
        });
    }
}
