//! `cargo xtask ci`: what CI checks, cheapest first.

use anyhow::Result;

use crate::cargo::{cargo, run};
use crate::test::TestOptions;
use crate::{test, tidy};

/// Runs all of it, up to the first failure. What it prints last is the test runner's own summary.
pub(crate) fn ci() -> Result<()> {
    run(cargo(&["fmt", "--all", "--check"])?)?;
    tidy::tidy()?;
    run(cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"])?)?;
    let mut rustdoc = cargo(&["doc", "--workspace", "--all-features", "--no-deps", "--document-private-items"])?;
    rustdoc.env("RUSTDOCFLAGS", "--deny warnings");
    run(rustdoc)?;
    test::test(&TestOptions::default())
}
