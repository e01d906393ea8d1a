//! `cargo xtask image`: the container image, by whichever engine there is.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::cargo::run;
use crate::{root, say};

#[derive(Debug, Args)]
pub(crate) struct ImageOptions {
    /// What the image is called.
    #[arg(long, default_value = concat!("pac-watcher:", env!("CARGO_PKG_VERSION")))]
    tag: String,
    /// For which platforms: linux/amd64, linux/arm64, or both with a comma [default: this machine's].
    #[arg(long, value_delimiter = ',', value_parser = ["linux/amd64", "linux/arm64"])]
    platform: Vec<String>,
    /// Print the command instead of running it.
    #[arg(long)]
    print: bool,
}

/// What builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Engine {
    Podman,
    Buildah,
    Docker,
}

/// Builds the image, or prints how.
pub(crate) fn image(options: &ImageOptions) -> Result<()> {
    let revision = revision();
    if options.print {
        let engine = Engine::find().unwrap_or(Engine::Docker);
        return say::print(&(line(engine, &engine.arguments(options, revision.as_deref())) + "\n"));
    }
    let Some(engine) = Engine::find() else {
        let arguments = Engine::Docker.arguments(options, revision.as_deref());
        bail!(
            "no container engine answers here (podman, buildah or docker); where one does, run:\n  {}",
            line(Engine::Docker, &arguments)
        );
    };
    let arguments = engine.arguments(options, revision.as_deref());
    eprintln!("$ {}", line(engine, &arguments));
    let mut command = Command::new(engine.program());
    command.args(arguments).current_dir(root());
    run(command).with_context(|| format!("{} could not build the image", engine.program()))
}

/// The commit this is, if it is one.
fn revision() -> Option<String> {
    let output = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(root()).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !commit.is_empty()).then_some(commit)
}

fn line(engine: Engine, arguments: &[String]) -> String {
    format!("{} {}", engine.program(), arguments.join(" "))
}

// === impl Engine ===

impl Engine {
    /// The first that is there and answers: a docker without its daemon doesn't.
    fn find() -> Option<Self> {
        [Self::Podman, Self::Buildah, Self::Docker].into_iter().find(|engine| {
            let mut ask = Command::new(engine.program());
            ask.arg("version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            ask.status().is_ok_and(|status| status.success())
        })
    }

    fn program(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Buildah => "buildah",
            Self::Docker => "docker",
        }
    }

    /// docker's own `build` doesn't know the platform of the machine it builds on; buildx does, as the others do.
    fn arguments(self, options: &ImageOptions, revision: Option<&str>) -> Vec<String> {
        let mut arguments: Vec<String> = match self {
            Self::Docker => vec!["buildx".to_owned(), "build".to_owned()],
            Self::Podman | Self::Buildah => vec!["build".to_owned()],
        };
        if !options.platform.is_empty() {
            arguments.push(format!("--platform={}", options.platform.join(",")));
        }
        // Images of several platforms are a list, which podman and buildah keep under another flag.
        let name = if self != Self::Docker && options.platform.len() > 1 { "--manifest" } else { "--tag" };
        arguments.push(format!("{name}={}", options.tag));
        let label = |name: &str, value: &str| format!("--label=org.opencontainers.image.{name}={value}");
        arguments.push(label("title", "pac-watcher"));
        arguments.push(label("version", env!("CARGO_PKG_VERSION")));
        arguments.push(label("licenses", env!("CARGO_PKG_LICENSE")));
        arguments.extend(revision.map(|revision| label("revision", revision)));
        arguments.extend(revision.map(|revision| format!("--build-arg=COMMIT={revision}")));
        arguments.extend(["--file=Containerfile", "."].map(str::to_owned));
        arguments
    }
}
