//! What went wrong with a request to the API server, for people.

use std::error::Error;
use std::io::{self, ErrorKind};

use kube::config::InferConfigError;

use crate::proxy::ThroughProxy;

/// An error and all that is behind it, in one line. What the API server answered, and what became of the connection to it, is
/// put into words of ours.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let own = match whole(error) {
            Some(whole) => {
                next = None;
                whole
            }
            None => own_words(error),
        };
        if !own.is_empty() {
            words.push(own);
        }
    }
    words.join(": ")
}

/// What an error of kube and all behind it come to, where that is said better than by one after the other.
fn whole(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(tried) = error.downcast_ref::<InferConfigError>() {
        // It prints what is behind both ways that it tried, and has one of them as its source.
        return Some(tried.to_string());
    }
    match error.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) => Some(answered(status)),
        kube::Error::Service(cause) => Some(format!("no connection to the API server: {}", broken(&**cause))),
        kube::Error::ReadEvents(cause) => Some(format!("the connection to the API server broke: {}", broken(cause))),
        _ => None,
    }
}

/// How the API server answered: its code, and its words.
pub fn answered(status: &kube::core::Status) -> String {
    let reason = if status.reason.is_empty() { String::new() } else { format!(" {}", status.reason) };
    format!("the API server answered {}{reason}: {}", status.code, status.message)
}

/// What an error says itself: many libraries print their source behind it.
fn own_words(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let own = error.source().and_then(|source| text.strip_suffix(&source.to_string()));
    own.map_or(text.as_str(), |own| own.trim_end_matches([':', ' '])).to_owned()
}

/// What became of a connection. The same break shows in many ways, from call to call.
fn broken(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    let (mut kind, mut way) = (None, String::new());
    loop {
        if let Some(through) = innermost.downcast_ref::<ThroughProxy>() {
            way = format!("{through}: ");
        }
        kind = innermost.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    let text = innermost.to_string();
    let what = match kind {
        Some(ErrorKind::ConnectionRefused) => "connection refused",
        Some(ErrorKind::TimedOut) => "no answer in time",
        Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof,
        ) => "it was closed",
        _ if text.starts_with("connection closed") || text.starts_with("operation was canceled") => "it was closed",
        _ => &text,
    };
    format!("{way}{what}")
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use pac_concurrency::{DriverError, Fault, RelocateError};

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it can't be listed")]
    struct Listing(#[source] kube::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("{what}: {source}")]
    struct Outer {
        what: &'static str,
        source: io::Error,
    }

    #[test]
    fn the_api_servers_words_are_said_once_and_without_our_own_types() {
        let status = Status::failure("the server is too busy", "ServiceUnavailable").with_code(503);
        let text = with_causes(&Listing(kube::Error::Api(status.boxed())));
        assert_eq!(text, "it can't be listed: the API server answered 503 ServiceUnavailable: the server is too busy");
    }

    #[test]
    fn a_connection_that_breaks_is_said_alike_however_it_shows() {
        let said = |kind| with_causes(&kube::Error::Service(Box::new(io::Error::new(kind, "x"))));
        assert_eq!(said(ErrorKind::ConnectionReset), said(ErrorKind::BrokenPipe));
        assert_eq!(said(ErrorKind::ConnectionRefused), "no connection to the API server: connection refused");
    }

    #[test]
    fn a_stores_failure_is_said_from_the_outermost_to_its_cause() {
        let cause = io::Error::from(ErrorKind::ConnectionRefused);
        let failed = DriverError::Unavailable(Fault::because("no connection to db:5432", cause));
        let text = with_causes(&RelocateError::Old(failed));
        assert_eq!(text, "the old store: the store is unavailable: no connection to db:5432: connection refused");
    }

    #[test]
    fn what_a_library_prints_of_its_source_is_not_said_twice() {
        let source = io::Error::other("no such host");
        assert_eq!(with_causes(&Outer { what: "can't connect", source }), "can't connect: no such host");
    }
}
