//! Names as people give them: `name` in the namespace that is asked about, or `namespace/name`.

use std::str::FromStr;

use pac_concurrency::RepositoryKey;

/// The name of a Repository or of a PipelineRun, which are named alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// None if it goes without saying.
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
}

// === impl Name ===

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither a name nor namespace/name");
        let (namespace, name) = match text.split_once('/') {
            // What `-o name` prints, here and of kubectl. A namespace has no dot in its name.
            Some((kind, name)) if kind.contains('.') => (None, name),
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        let key = RepositoryKey::new(namespace.unwrap_or("default"), name).map_err(|_| wrong())?;
        Ok(Self { namespace: namespace.map(str::to_owned), name: key.name().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_its_namespace_or_its_kind_before_it() {
        let read = |text: &str| text.parse::<Name>().map(|name| (name.namespace, name.name));
        let name = "build.1-x".to_owned();
        assert_eq!(read("build.1-x"), Ok((None, name.clone())));
        assert_eq!(read("team-a/build.1-x"), Ok((Some("team-a".to_owned()), name.clone())));
        assert_eq!(read("pipelinerun.tekton.dev/build.1-x"), Ok((None, name)));
        for wrong in ["", "/", "a/", "/b", "a/b/c", "UPPER", "a b"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
