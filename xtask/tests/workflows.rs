//! The workflows run no code that isn't pinned by commit, with no more rights than they need.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fs;
use std::path::Path;

use serde_yaml::Value;

fn workflows() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.github/workflows");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read_to_string(file.path()).unwrap())).collect()
}

#[test]
fn actions_are_pinned_by_commit_and_say_which_version_that_is() {
    let mut seen = 0;
    for (file, text) in workflows() {
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let (_, action) = line.split_once("uses: ").unwrap();
            let (pinned, version) = action.split_once(" # v").unwrap_or_else(|| panic!("{file}: {line}"));
            let (_, commit) = pinned.split_once('@').unwrap();
            assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{file}: {line}");
            assert!(version.split('.').count() == 3, "{file}: {line}");
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn workflows_may_read_and_no_more_unless_a_job_says_why() {
    for (file, text) in workflows() {
        let workflow: Value = serde_yaml::from_str(&text).unwrap();
        let rights = workflow["permissions"].as_mapping().unwrap_or_else(|| panic!("{file} has all rights"));
        assert!(rights.len() == 1 && workflow["permissions"]["contents"] == "read", "{file}");
        for (name, job) in workflow["jobs"].as_mapping().unwrap() {
            assert!(job["timeout-minutes"].is_number(), "{file}: {name:?} may hang for six hours");
        }
    }
}
