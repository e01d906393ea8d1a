//! The keys that say who gets traces.

use crate::files::ReadFile;
use crate::keys;
use crate::parse::endpoint::{host_and_port, split_scheme};
use crate::parse::path;
use crate::reader::{Parsed, Pem, Reader};
use crate::settings::{Endpoint, Scheme, TracesSettings};
use crate::shown::quoted;

/// Where collectors take OTLP over HTTP.
const PORT: u16 = 4318;
const PATH: &str = "/v1/traces";

/// Reads `concurrency-traces-endpoint` and `concurrency-traces-ca-file`. `None` is a problem that was reported.
pub(crate) fn read(reader: &mut Reader<'_>, files: &dyn ReadFile) -> Option<Option<TracesSettings>> {
    let (endpoint, ca) = (&keys::CONCURRENCY_TRACES_ENDPOINT, &keys::CONCURRENCY_TRACES_CA_FILE);
    if !reader.collected.is_set(endpoint) {
        if reader.collected.is_set(ca) {
            reader.findings.warn(ca, format!("has no effect: {endpoint} is not set"));
        }
        return Some(None);
    }
    let ca_file = reader.optional(ca, path);
    reader.check_file(ca, Pem::Certificate, files);
    let (endpoint, path) = reader.optional(endpoint, url)?;
    if ca_file.is_some() && endpoint.scheme == Scheme::Http {
        reader.findings.warn(ca, format!("has no effect: {endpoint} is reached in clear"));
    }
    Some(Some(TracesSettings { endpoint, path, ca_file }))
}

/// A collector, and the path at which it takes spans.
fn url(text: &str) -> Parsed<(Endpoint, String)> {
    let wrong = |why: &str| Err(format!("{} {why}", quoted(text)));
    let (scheme, rest) = match split_scheme(text) {
        Ok((Some(scheme), rest)) => (scheme, rest),
        Ok((None, _)) => return wrong("has no scheme; write http:// or https:// before it"),
        Err(why) => return wrong(why),
    };
    if rest.contains(['?', '#']) || rest.contains(char::is_whitespace) {
        return wrong("is not one URL without a query");
    }
    let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if address.contains('@') {
        return wrong("has a user in it; spans are sent without one");
    }
    match host_and_port(address, PORT) {
        Ok((host, port)) => {
            let path = if path.trim_matches('/').is_empty() { PATH } else { path };
            Ok((Endpoint { scheme, host, port }, path.to_owned()))
        }
        Err(why) => wrong(&why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let (endpoint, path) = url(text).unwrap();
        format!("{endpoint}{path}")
    }

    #[test]
    fn port_and_path_are_the_usual_ones_unless_they_are_written() {
        assert_eq!(of("http://collector"), "http://collector:4318/v1/traces");
        assert_eq!(of("HTTPS://collector.ns.svc:8443/"), "https://collector.ns.svc:8443/v1/traces");
        assert_eq!(of("http://[::1]/otlp/v1/traces"), "http://[::1]:4318/otlp/v1/traces");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["collector:4318", "grpc://a", "http://", "http://a:x", "http://a b", "http://a/?x=1", "http://u@a"]
        {
            assert!(url(text).is_err(), "{text}");
        }
        let why = url("http://me:hunter2@collector").unwrap_err();
        assert!(why.contains("has a user in it") && !why.contains("hunter2"), "{why}");
    }
}
