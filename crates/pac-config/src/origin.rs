//! Where a value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from, in the words a message uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A ConfigMap in the cluster.
    ConfigMap {
        /// `namespace/name`.
        name: String,
    },
    /// A Secret in the cluster.
    Secret {
        /// `namespace/name`.
        name: String,
    },
    /// A local YAML file given with `--config`.
    File {
        /// The file as it was named.
        path: PathBuf,
        /// The line of the key, counted from 1, where it could be told.
        line: Option<usize>,
    },
    /// A file that an environment variable ending in `_FILE` names.
    EnvironmentFile {
        /// The variable that names the file.
        variable: String,
        /// The file.
        path: PathBuf,
    },
    /// An environment variable.
    Environment {
        /// The variable.
        variable: String,
    },
    /// The command line.
    CommandLine {
        /// The flag, such as `--from`.
        flag: &'static str,
    },
    /// Nobody said anything: the default of the table.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConfigMap { name } => write!(formatter, "ConfigMap {name}"),
            Self::Secret { name } => write!(formatter, "Secret {name}"),
            Self::File { path, line: None } => write!(formatter, "file {}", path.display()),
            Self::File { path, line: Some(line) } => write!(formatter, "file {} line {line}", path.display()),
            Self::EnvironmentFile { variable, path } => {
                write!(formatter, "file {}, named by environment variable {variable}", path.display())
            }
            Self::Environment { variable } => write!(formatter, "environment variable {variable}"),
            Self::CommandLine { flag } => write!(formatter, "flag {flag}"),
            Self::Default => formatter.write_str("default"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_person_would_say_it() {
        let variable = "PAC_POSTGRESQL_PASSWORD".to_owned();
        let path = PathBuf::from("/run/password");
        let texts = [
            (Origin::ConfigMap { name: "ns/cm".to_owned() }, "ConfigMap ns/cm"),
            (Origin::Secret { name: "ns/s".to_owned() }, "Secret ns/s"),
            (Origin::File { path: path.clone(), line: None }, "file /run/password"),
            (Origin::File { path: path.clone(), line: Some(3) }, "file /run/password line 3"),
            (
                Origin::EnvironmentFile { variable: format!("{variable}_FILE"), path },
                "file /run/password, named by environment variable PAC_POSTGRESQL_PASSWORD_FILE",
            ),
            (Origin::Environment { variable }, "environment variable PAC_POSTGRESQL_PASSWORD"),
            (Origin::Default, "default"),
        ];
        for (origin, text) in texts {
            assert_eq!(origin.to_string(), text);
        }
    }
}
