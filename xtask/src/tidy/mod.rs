//! `cargo xtask tidy`: house rules a machine can check. Each check takes the folder of the workspace and says what is
//! wrong, a line each; all of them are shown to fail in the tests below.

mod arrows;
mod circles;
mod drivers;
mod files;
mod generated;
mod imports;
mod keys;
mod sources;
mod writers;

use std::path::Path;

use anyhow::{Result, bail};

use crate::{docs, root};
use sources::Sources;

/// Runs every check.
pub(crate) fn tidy() -> Result<()> {
    let problems = problems(&root())?;
    if problems.is_empty() {
        return Ok(());
    }
    bail!("the house rules are broken:\n{}", problems.join("\n"))
}

fn problems(root: &Path) -> Result<Vec<String>> {
    let sources = Sources::read(root)?;
    let mut problems = files::problems(&sources);
    problems.extend(arrows::problems(&sources));
    problems.extend(circles::problems(&sources));
    problems.extend(keys::problems(&sources));
    problems.extend(writers::problems(&sources));
    problems.extend(drivers::problems(&sources));
    problems.extend(generated::problems(&sources, &docs::generated()));
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_tidy() {
        assert_eq!(problems(&root()).unwrap(), Vec::<String>::new());
    }
}
