//! Host names and IP addresses, and hints for what people write instead.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::parse::port;
use crate::reader::Parsed;
use crate::shown::quoted;

/// The longest host name DNS knows, in bytes.
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// A host name or IP address. An IPv6 address loses its brackets.
pub(crate) fn host(text: &str) -> Parsed<String> {
    if let Some(host) = plain_host(text) {
        return Ok(host);
    }
    Err(format!("{} {}", quoted(text), hint(text)))
}

/// The host if it is one, without a reason if it is not.
pub(crate) fn plain_host(text: &str) -> Option<String> {
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = unbracketed.unwrap_or(text);
    if address.parse::<Ipv6Addr>().is_ok() {
        return Some(address.to_owned());
    }
    (unbracketed.is_none() && (is_name(text) || text.parse::<Ipv4Addr>().is_ok())).then(|| text.to_owned())
}

fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    // All digits and dots is meant as an address, and 10.0.0.256 would otherwise be looked up as a name.
    let is_address = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    !is_address && name.len() <= LONGEST && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let fits = (1..=LONGEST_LABEL).contains(&label.len());
    // Underscores are no part of DNS host names, but of the names that Docker and Compose give.
    let allowed = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    fits && allowed && !label.starts_with('-') && !label.ends_with('-')
}

fn hint(text: &str) -> &'static str {
    let is_with_port =
        || text.rsplit_once(':').is_some_and(|(host, end)| port(end).is_ok() && plain_host(host).is_some());
    if text.contains("://") {
        "is a URL; only the host goes here"
    } else if text.contains('=') {
        "is a connection string; only the host goes here"
    } else if text.contains('@') {
        "has a user in it; only the host goes here"
    } else if text.contains([',', ';']) {
        "is a list; separate several hosts by commas, where several may be given"
    } else if text.starts_with('/') {
        "is a path; Unix sockets are not supported"
    } else if is_with_port() {
        "has a port in it; only the host goes here"
    } else if text.contains(char::is_whitespace) {
        "has a space in it"
    } else {
        "is not a host name or IP address"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_hosts() {
        for text in ["localhost", "db.example.com", "db.example.com.", "my_db", "10.0.0.1", "1password.com", "DB-1"] {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn ipv6_loses_its_brackets() {
        assert_eq!(host("::1").as_deref(), Ok("::1"));
        assert_eq!(host("[fd00::5]").as_deref(), Ok("fd00::5"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let too_long = format!("{}.com", "a.".repeat(130));
        for text in ["", ".", "a..b", "-a", "a-", "10.0.0.256", "5432", "[db]", "[::1", "é", "*", too_long.as_str()] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
