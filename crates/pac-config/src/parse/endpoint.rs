//! Lists of etcd endpoints, and the parts of a URL.

use crate::keys;
use crate::parse::host::plain_host;
use crate::parse::port;
use crate::reader::Parsed;
use crate::settings::Scheme;
use crate::shown::quoted;
use crate::text::is_digits;

/// etcd's port for clients.
const DEFAULT_PORT: u16 = 2379;

/// An endpoint as it was written, its scheme still to be decided if it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) scheme: Option<Scheme>,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// At least one endpoint, separated by commas.
pub(crate) fn endpoints(text: &str) -> Parsed<Vec<Written>> {
    text.split(',').map(|entry| endpoint(entry.trim(), text)).collect()
}

fn endpoint(entry: &str, list: &str) -> Parsed<Written> {
    if entry.is_empty() {
        return Err(format!("{} has an empty entry", quoted(list)));
    }
    let wrong = |why: &str| Err(format!("{} {why}", quoted(entry)));
    let (scheme, rest) = match split_scheme(entry) {
        Ok(parts) => parts,
        Err(why) => return wrong(why),
    };
    let address = rest.strip_suffix('/').unwrap_or(rest);
    if address.contains('@') {
        let (username, password) = (&keys::ETCD_USERNAME, &keys::ETCD_PASSWORD);
        return wrong(&format!("has a user in it; {username} and {password} are for that"));
    }
    if address.contains(['/', '?', '#']) {
        return wrong("has a path in it; only host and port go here");
    }
    if address.contains(char::is_whitespace) || address.contains(';') {
        return wrong("is not one endpoint; separate endpoints by commas");
    }
    match host_and_port(address, DEFAULT_PORT) {
        Ok((host, port)) => Ok(Written { scheme, host, port }),
        Err(why) => wrong(&why),
    }
}

pub(crate) fn split_scheme(entry: &str) -> Result<(Option<Scheme>, &str), &'static str> {
    match entry.split_once("://") {
        None => Ok((None, entry)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => Ok((Some(Scheme::Http), rest)),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok((Some(Scheme::Https), rest)),
        Some(_) => Err("has a scheme that is neither http nor https"),
    }
}

/// Host and port, the `usual` one if none is written; or why it is neither.
pub(crate) fn host_and_port(address: &str, usual: u16) -> Result<(String, u16), String> {
    let not_a_host = "is not a host with or without a port";
    if !address.starts_with('[') && address.matches(':').count() > 1 {
        return Err(format!("is an IPv6 address without brackets; write [::1]:{usual}"));
    }
    let (host, after) = match address.rsplit_once(':') {
        Some((host, after)) if !after.ends_with(']') => (host, Some(after)),
        _ => (address, None),
    };
    let port = match after {
        None => usual,
        Some(digits) => {
            let port = if is_digits(digits) { port(digits).ok() } else { None };
            port.ok_or("has a port that is not 1 to 65535")?
        }
    };
    Ok((plain_host(host).ok_or(not_a_host)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> (Option<Scheme>, String, u16) {
        let written = endpoints(text).unwrap().pop().unwrap();
        (written.scheme, written.host, written.port)
    }

    #[test]
    fn scheme_and_port_may_be_left_out() {
        assert_eq!(one("etcd"), (None, "etcd".to_owned(), 2379));
        assert_eq!(one("etcd:1"), (None, "etcd".to_owned(), 1));
        assert_eq!(one("http://etcd:1"), (Some(Scheme::Http), "etcd".to_owned(), 1));
        assert_eq!(one("HTTPS://etcd/"), (Some(Scheme::Https), "etcd".to_owned(), 2379));
    }

    #[test]
    fn ipv6_is_in_brackets() {
        assert_eq!(one("[::1]"), (None, "::1".to_owned(), 2379));
        assert_eq!(one("https://[::1]:5"), (Some(Scheme::Https), "::1".to_owned(), 5));
        assert!(endpoints("::1:2379").is_err());
    }

    #[test]
    fn a_list_keeps_its_order() {
        let hosts: Vec<_> = endpoints("b, a ,c").unwrap().into_iter().map(|written| written.host).collect();
        assert_eq!(hosts, ["b", "a", "c"]);
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for text in ["", ",", "a,", "a,,b", "a b", "a;b", ":1", "a:", "a:0", "a:x", "ftp://a", "http://", "a/b", "[]"] {
            assert!(endpoints(text).is_err(), "{text}");
        }
    }
}
