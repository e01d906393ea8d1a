//! What went wrong with a request to the API server, for people.

use std::error::Error;
use std::io::{self, ErrorKind};

/// An error and all that is behind it, in one line in which nothing is said twice. What the API server answered is told in its
/// own words.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        next = error.source();
        let words = match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) => {
                next = None;
                answered(status)
            }
            Some(kube::Error::Service(cause)) => {
                next = None;
                format!("no connection to the API server: {}", broken(&**cause))
            }
            Some(kube::Error::ReadEvents(cause)) => {
                next = None;
                format!("the connection to the API server broke: {}", broken(cause))
            }
            _ => own_words(error),
        };
        if !words.is_empty() && !said.iter().any(|before| before.contains(&words)) {
            said.push(words);
        }
    }
    said.join(": ")
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
    let mut kind = None;
    loop {
        kind = innermost.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        match innermost.source() {
            Some(source) => innermost = source,
            None => break,
        }
    }
    let text = innermost.to_string();
    match kind {
        Some(ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(ErrorKind::TimedOut) => "no answer in time".to_owned(),
        Some(
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::NotConnected
            | ErrorKind::UnexpectedEof,
        ) => "it was closed".to_owned(),
        _ if text.starts_with("connection closed") || text.starts_with("operation was canceled") => {
            "it was closed".to_owned()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it can't be listed: {0}")]
    struct Listing(#[source] kube::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("{what}: {source}")]
    struct Outer {
        what: &'static str,
        source: io::Error,
    }

    #[test]
    fn the_api_servers_words_are_told_once_and_without_our_own_types() {
        let status = Status::failure("the server is too busy", "ServiceUnavailable").with_code(503);
        let text = with_causes(&Listing(kube::Error::Api(status.boxed())));
        assert_eq!(text, "it can't be listed: the API server answered 503 ServiceUnavailable: the server is too busy");
    }

    #[test]
    fn a_connection_that_breaks_is_told_alike_however_it_shows() {
        let told = |kind| with_causes(&kube::Error::Service(Box::new(io::Error::new(kind, "x"))));
        assert_eq!(told(ErrorKind::ConnectionReset), told(ErrorKind::BrokenPipe));
        assert_eq!(told(ErrorKind::ConnectionRefused), "no connection to the API server: connection refused");
    }

    #[test]
    fn what_a_library_prints_of_its_source_is_not_said_twice() {
        let source = io::Error::other("no such host");
        assert_eq!(with_causes(&Outer { what: "can't connect", source }), "can't connect: no such host");
    }
}
