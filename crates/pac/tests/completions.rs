//! `pac-watcher completions`: what a person types, and TAB, in the shells themselves.
//!
//! Each is at a terminal, and has loaded what we print for it. In place of the program there is a function of its name that
//! repeats what it was called with, so that what TAB made of the words is told by the shell itself. TAB asks the program.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use pac_devservers::find;
use pac_devservers::process::Child;
use serde_json::json;
use support::World;
use tempfile::TempDir;

/// What is typed before TAB, and the words that are there after it.
const TYPED: &[(&str, &str)] = &[
    ("ch", "check-config"),
    ("queue exp", "queue explain"),
    ("queue pause --rea", "queue pause --reason"),
    ("queue list -o y", "queue list -o yaml"),
    ("queue list --request-t", "queue list --request-timeout"),
    ("check-config --conn", "check-config --connect"),
    ("migrate --from po", "migrate --from postgresql"),
    // Names are in the cluster.
    ("queue explain -n team-0 bui", "queue explain -n team-0 build-1"),
    ("queue -n team-0 wait te", "queue -n team-0 wait test-1"),
    ("queue release team-0/b", "queue release team-0/build-1"),
    ("queue show -n team-0 re", "queue show -n team-0 repo-0"),
    ("queue list --namespace tea", "queue list --namespace team-0"),
    ("queue list --context dev", "queue list --context devcluster"),
];

const PROMPT: &str = "what-now> ";

/// A shell at a terminal.
struct Shell {
    _process: Child,
    typed: ChildStdin,
    shown: ChildStdout,
}

// === impl Shell ===

impl Shell {
    /// Starts `program` and has it load the completions, the function and the prompt from a file.
    fn start(program: &'static str, arguments: &str, folder: &Path) -> Self {
        assert!(find(program).is_some(), "{program} is missing; install it with: apt-get install {program}");
        let script = find("script").expect("script is missing; install it with: apt-get install bsdutils");
        let mut command = Command::new(script);
        command.args(["--quiet", "--command", &format!("{program} {arguments}"), "/dev/null"]);
        command.env("TERM", "dumb").env("HOME", folder).env("PS1", "loading> ");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Child::spawn("a shell", command).unwrap();
        let (typed, shown) = (process.input().unwrap(), process.output().unwrap());
        let mut shell = Self { _process: process, typed, shown };
        shell.types(&format!(". {}\n", folder.join(program).display()));
        shell
    }

    fn types(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).unwrap();
        self.typed.flush().unwrap();
    }

    /// What is shown until the next prompt.
    fn until_prompt(&mut self) -> String {
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).ends_with(PROMPT) {
            let mut byte = [0];
            self.shown
                .read_exact(&mut byte)
                .unwrap_or_else(|_| panic!("it ended: {}", String::from_utf8_lossy(&shown)));
            shown.push(byte[0]);
        }
        String::from_utf8(shown).unwrap()
    }
}

/// What we print for `shell`.
fn completions(shell: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_pac-watcher")).args(["completions", shell]).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A Repository, and two runs that wait in it.
fn world() -> World {
    let world = World::by_hand(&json!({}));
    world.repository(0, 1);
    world.queue_event(0, &["build-1", "test-1"]);
    world
}

fn completes(program: &'static str, arguments: &str, before: &str) {
    let world = world();
    let folder = TempDir::new().unwrap();
    let function = r#"pac-watcher() { echo "called with: $*."; }"#;
    let cluster = format!("export KUBECONFIG={}", world.kubeconfig().display());
    let loaded = format!("{before}\n{cluster}\n{}\n{function}\nPS1='{PROMPT}'\n", completions(program));
    std::fs::write(folder.path().join(program), loaded).unwrap();
    let mut shell = Shell::start(program, arguments, folder.path());
    shell.until_prompt();
    for (typed, words) in TYPED {
        shell.types(&format!("pac-watcher {typed}\t\n"));
        let shown = shell.until_prompt();
        assert!(shown.contains(&format!("called with: {words}.")), "{typed:?} and TAB in {program}: {shown:?}");
    }
}

#[test]
fn bash_completes_what_is_typed() {
    completes("bash", "--norc --noprofile", "bind 'set enable-bracketed-paste off'");
}

#[test]
fn zsh_completes_what_is_typed() {
    completes("zsh", "-f", "unset zle_bracketed_paste; autoload -U compinit; compinit -D");
}

/// Its own command says what TAB would offer.
#[test]
fn fish_completes_what_is_typed() {
    let fish = find("fish").expect("fish is missing; install it with: apt-get install fish");
    let world = world();
    let folder = TempDir::new().unwrap();
    let loaded = folder.path().join("completions.fish");
    std::fs::write(&loaded, completions("fish")).unwrap();
    for (typed, words) in TYPED {
        let offered = format!("source {}; complete --do-complete 'pac-watcher {typed}'", loaded.display());
        let mut command = Command::new(&fish);
        command.args(["--no-config", "--command", &offered]).env("HOME", folder.path());
        command.env("KUBECONFIG", world.kubeconfig());
        let output = command.output().unwrap();
        let offered = String::from_utf8(output.stdout).unwrap();
        let first: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(first, [words.rsplit(' ').next().unwrap()], "{typed:?} and TAB in fish");
    }
}

/// What a shell makes of `line`, in which `$0` is our program.
fn shell(line: &str) -> (Option<i32>, String) {
    let output = Command::new("sh").args(["-c", line, env!("CARGO_BIN_EXE_pac-watcher")]).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn whoever_reads_may_stop_at_any_time() {
    let (_, said) = shell("for n in 1 2 3 4 5; do \"$0\" completions bash | head -n 1; done");
    assert_eq!(said, "\n".repeat(5));
    let (code, said) = shell("\"$0\" completions bash > /dev/full");
    assert!(code == Some(1) && said.starts_with("error: could not print"), "{said}");
}
