//! By what name the program was called: as itself, or as a plugin of kubectl's or tkn's.
//!
//! kubectl finds `kubectl pac-queue` in a file `kubectl-pac_queue`, and asks `kubectl_complete-pac_queue` for what TAB offers behind
//! it, in the way of programs made with Cobra; tkn finds `tkn queue` in `tkn-queue`. All are this program, by another name or a link to it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory, FromArgMatches, Parser};
use clap_complete::CompleteEnv;
use clap_complete::engine;
use clap_complete::env::Shells;

use crate::args::Queue;
use crate::{complete, say};

/// The version, and the commit it was built from, where that is known.
pub const VERSION: &str = env!("PAC_VERSION");
/// The variable by which a shell asks for what TAB offers.
const ASKED_BY_SHELL: &str = "COMPLETE";
/// What Cobra's programs say last: that files are no candidates.
const NO_FILES: &str = ":4";

/// Look at the queues of PipelineRuns that wait for a slot of their Repository, and do what only a person can decide.
#[derive(Debug, Parser)]
#[command(version = VERSION)]
struct Plugin {
    #[command(flatten)]
    queue: Queue,
}

/// What a file name makes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Called {
    Itself,
    /// With the name of its file and what people type.
    Plugin(&'static str, &'static str),
    /// By kubectl, which wants to know what TAB offers.
    ForCandidates,
}

const KUBECTL: (&str, &str) = ("kubectl-pac_queue", "kubectl pac-queue");
const TKN: (&str, &str) = ("tkn-queue", "tkn queue");
const KUBECTL_COMPLETE: &str = "kubectl_complete-pac_queue";

/// Does what is asked if it isn't asked of the program itself, whose command line is `own`. To be called before there is any other
/// thread.
pub fn called_otherwise(own: fn() -> Command) -> Option<ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let called = called_as(words.first().map(Path::new));
    let command = match called {
        Called::Plugin(..) | Called::ForCandidates => plugin(called),
        Called::Itself => own(),
    };
    if called == Called::ForCandidates {
        return Some(candidates(command, words));
    }
    if std::env::var_os(ASKED_BY_SHELL).is_some() {
        let typed = words.iter().position(|word| word == "--").map_or_else(Vec::new, |at| words[at + 1..].to_vec());
        complete::keep(command.clone(), typed);
        CompleteEnv::with_factory(move || complete::offering(command.clone())).var(ASKED_BY_SHELL).complete();
        // Then the variable is set, and says nothing.
    }
    match called {
        Called::Plugin(..) => Some(carry_out(plugin(called), words)),
        _ => None,
    }
}

/// What a shell has to load for TAB to ask the program, `command` being its command line.
pub fn registration(shell: &str, command: &Command) -> Result<String, String> {
    let name = command.get_name();
    let program = std::env::args_os().next().map(std::path::PathBuf::from).unwrap_or_else(|| name.into());
    // What was found on the path is found there again; elsewhere it is where it is now.
    let program =
        if program.components().count() > 1 { std::path::absolute(&program).unwrap_or(program) } else { program };
    let known = Shells::builtins();
    let shell = known.completer(shell).ok_or_else(|| format!("{shell} is no shell we know"))?;
    let mut script = Vec::new();
    shell
        .write_registration(ASKED_BY_SHELL, name, name, &program.to_string_lossy(), &mut script)
        .map_err(|error| error.to_string())?;
    String::from_utf8(script).map_err(|error| error.to_string())
}

fn called_as(program: Option<&Path>) -> Called {
    let name = program.and_then(|program| program.file_name()?.to_str()).unwrap_or_default();
    // The file system of Windows doesn't tell capitals from small letters.
    let name = name.strip_suffix(".exe").or_else(|| name.strip_suffix(".EXE")).unwrap_or(name);
    match name {
        _ if name == KUBECTL.0 => Called::Plugin(KUBECTL.0, KUBECTL.1),
        _ if name == TKN.0 => Called::Plugin(TKN.0, TKN.1),
        KUBECTL_COMPLETE => Called::ForCandidates,
        _ => Called::Itself,
    }
}

fn plugin(called: Called) -> Command {
    let (name, typed) = match called {
        Called::Plugin(name, typed) => (name, typed),
        _ => KUBECTL,
    };
    Plugin::command().name(name).bin_name(typed).display_name(typed)
}

fn carry_out(command: Command, words: Vec<OsString>) -> ExitCode {
    let read = command.try_get_matches_from(words);
    let plugin = match read.and_then(|read| Plugin::from_arg_matches(&read)) {
        Ok(plugin) => plugin,
        Err(error) => error.exit(),
    };
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(crate::queue(&plugin.queue)),
        Err(error) => {
            say::error(format!("could not begin: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints what TAB offers for the last of the words, each with its help behind a tab.
fn candidates(command: Command, words: Vec<OsString>) -> ExitCode {
    complete::keep(command.clone(), words.clone());
    let mut command = complete::offering(command);
    let last = words.len().saturating_sub(1);
    // kubectl itself offers flags only to those who begin one.
    let flags = words.last().is_some_and(|word| word.to_string_lossy().starts_with('-'));
    let found = engine::complete(&mut command, words, last, None).unwrap_or_default();
    let mut text = String::new();
    for candidate in found {
        let value = candidate.get_value().to_string_lossy().into_owned();
        if value.starts_with('-') && !flags {
            continue;
        }
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().map(|line| format!("\t{line}")).unwrap_or_default();
        text.push_str(&format!("{value}{help}\n"));
    }
    match say::print(&format!("{text}{NO_FILES}\n")) {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            say::error(why);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_makes_a_plugin() {
        let called = |program: &str| called_as(Some(Path::new(program)));
        assert_eq!(called("/home/me/.krew/bin/kubectl-pac_queue"), Called::Plugin(KUBECTL.0, KUBECTL.1));
        assert_eq!(called("kubectl-pac_queue.exe"), Called::Plugin(KUBECTL.0, KUBECTL.1));
        assert_eq!(called("./tkn-queue"), Called::Plugin(TKN.0, TKN.1));
        assert_eq!(called("kubectl_complete-pac_queue"), Called::ForCandidates);
        for own in ["pac-watcher", "/usr/local/bin/pac-watcher", "kubectl-pac_queue-old", ""] {
            assert_eq!(called(own), Called::Itself, "{own}");
        }
        Plugin::command().debug_assert();
    }

    #[test]
    fn usage_is_what_people_type() {
        for (called, usage) in [(KUBECTL, "Usage: kubectl pac-queue "), (TKN, "Usage: tkn queue ")] {
            let help =
                plugin(Called::Plugin(called.0, called.1)).try_get_matches_from([called.0, "--help"]).unwrap_err();
            assert!(help.to_string().contains(usage), "{help}");
            let help = plugin(Called::Plugin(called.0, called.1)).try_get_matches_from([called.0, "show", "--help"]);
            assert!(help.unwrap_err().to_string().contains(&format!("{usage}show ")));
        }
    }
}
