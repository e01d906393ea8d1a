//! Keys nobody knows: did you mean …?
//!
//! Under one of our prefixes an unknown key is a problem: it is a setting that would silently not apply. Elsewhere, keys
//! and variables belong to other parts of PAC, and only one that is hard to tell from ours gets a warning.
//! The value of an unknown key is never quoted: it may be a password under a misspelled key.

use std::ffi::OsStr;

use crate::collect::Collected;
use crate::key::{Group, Key};
use crate::keys::{find_key, keys};
use crate::origin::Origin;
use crate::problem::{Findings, Problem};
use crate::sources::Sources;
use crate::variable::{PREFIX, may_be_ours};

/// The ending of a variable that names a file.
const FILE: &str = "_FILE";

/// Reports every key and variable that is not in the table but should be, or seems to be meant.
pub(crate) fn look(sources: &Sources, collected: &Collected, findings: &mut Findings) {
    let secret = sources.secret.iter().filter(|(name, _)| !collected.has_renamed(name));
    for (name, given) in sources.own.iter().chain(&sources.config).chain(secret) {
        look_at_key(name, &given.origin, findings);
    }
    for (name, value) in &sources.environment {
        look_at_variable(name, value, findings);
    }
}

fn look_at_key(name: &str, origin: &Origin, findings: &mut Findings) {
    if find_key(name).is_some() {
        return;
    }
    if let Some(prefix) = our_prefix(name) {
        let message = unknown_setting(nearest_under(prefix, name).map(|key| key.name.to_owned()));
        findings
            .problem(Problem::new(name, message).allowing(names_under(prefix, |key| key.name.to_owned())).from(origin));
    } else if let Some(key) = look_alike(name) {
        findings.warn(name, format!("is not a setting; did you mean {}? (from {origin})", key.name));
    }
}

fn look_at_variable(name: &str, value: &OsStr, findings: &mut Findings) {
    let is_known = keys().any(|key| key.variable() == name || key.file_variable() == name);
    let Some(stem) = name.strip_prefix(PREFIX).filter(|_| !is_known && may_be_ours(name, value)) else {
        return;
    };
    // A key may itself end in -file, so the whole name is tried first.
    let forms = [Some((stem, "")), stem.strip_suffix(FILE).map(|stem| (stem, FILE))];
    let forms = || forms.into_iter().flatten();
    let as_key = |stem: &str| stem.to_ascii_lowercase().replace('_', "-");
    let ours = our_prefix(&as_key(stem)).filter(|_| !stem.bytes().any(|byte| byte.is_ascii_lowercase()));
    if let Some(prefix) = ours {
        let near = forms().find_map(|(stem, end)| Some((nearest_under(prefix, &as_key(stem))?, end)));
        let message = unknown_setting(near.map(|(key, end)| format!("{}{end}", key.variable())));
        findings.problem(Problem::new(name, message).allowing(names_under(prefix, Key::variable)));
    } else if let Some((key, end)) = forms().find_map(|(stem, end)| Some((look_alike(stem)?, end))) {
        findings.warn(name, format!("is not a setting; did you mean {}{end}?", key.variable()));
    }
}

fn our_prefix(name: &str) -> Option<&'static str> {
    Group::PREFIXES.into_iter().find(|prefix| name.starts_with(prefix))
}

fn unknown_setting(near: Option<String>) -> String {
    match near {
        Some(near) => format!("unknown setting; did you mean {near}?"),
        None => "unknown setting".to_owned(),
    }
}

fn names_under(prefix: &str, name: impl Fn(&Key) -> String) -> String {
    let names: Vec<_> = keys().filter(|key| key.name.starts_with(prefix)).map(name).collect();
    names.join(", ")
}

/// The key that was probably meant by a name with the same prefix.
fn nearest_under(prefix: &str, name: &str) -> Option<&'static Key> {
    let written = name.strip_prefix(prefix)?;
    let distance = |key: &'static Key| {
        let known = key.name.strip_prefix(prefix)?;
        // Short forms: user for username, timeout for connection-timeout, ttl for lease-ttl.
        let is_part = written.len() >= 3 && known.contains(written);
        Some((if is_part { 1 } else { strsim::damerau_levenshtein(known, written) }, key))
    };
    let near = keys().filter_map(distance).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, _)| *distance <= (written.len() / 3).max(1)).map(|(_, key)| key)
}

/// The key that a foreign name is hard to tell from: another case, another separator, two letters off.
fn look_alike(name: &str) -> Option<&'static Key> {
    // Far from any key by its length alone; names may be very long.
    if name.len() > 40 {
        return None;
    }
    let name = name.to_ascii_lowercase().replace(['_', '.', ' ', '/'], "-");
    let distance = |key: &'static Key| (strsim::damerau_levenshtein(key.name, &name), key);
    let near = keys().map(distance).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, _)| *distance <= 2).map(|(_, key)| key)
}
