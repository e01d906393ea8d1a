//! Why somebody gets no answer. What they are told is one of these texts, and nothing of what was asked.

use http::{HeaderName, StatusCode, header};

/// See the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The request has no bearer token, or more than one.
    NoToken,
    /// The token is nobody's, or is for somebody else.
    BadToken,
    /// The caller may not see that namespace, or there is none of that name: which of the two isn't theirs to know.
    Forbidden,
    /// The caller may not see all namespaces.
    ForbiddenAll,
    /// Nothing is at that path.
    NoSuchPath,
    /// Nothing is known of that Repository, which would be the caller's to see.
    UnknownRepository,
    /// The question can't be one.
    Malformed(&'static str),
    /// Nothing can be changed here.
    Method,
    /// The caller asks too often, or too many do.
    TooOften,
    /// The API server can't be asked who calls.
    NobodyToAsk,
    /// This replica doesn't know all there is yet.
    Incomplete,
    /// The answer took too long, or could not be written.
    NoAnswer,
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::BadToken => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::ForbiddenAll => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::UnknownRepository => StatusCode::NOT_FOUND,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooOften => StatusCode::TOO_MANY_REQUESTS,
            Self::NobodyToAsk | Self::Incomplete | Self::NoAnswer => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// What is said of it, in one line.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::NoToken => "a bearer token says who you are: Authorization: Bearer TOKEN",
            Self::BadToken => "this token is nobody's, has expired, or is for another audience",
            Self::Forbidden => "you may not get PipelineRuns of that namespace, or there is no such namespace",
            Self::ForbiddenAll => {
                "you may not list the PipelineRuns of all namespaces: name one whose PipelineRuns you may get"
            }
            Self::NoSuchPath => "nothing is here",
            Self::UnknownRepository => "there is no such Repository, and no PipelineRun names it",
            Self::Malformed(why) => why,
            Self::Method => "it can only be looked at",
            Self::TooOften => "too many requests: ask again in a second",
            Self::NobodyToAsk => "the API server can't be asked who you are, and what you may see",
            Self::Incomplete => "the watcher is starting, and doesn't know all there is yet",
            Self::NoAnswer => "the answer took too long",
        }
    }

    /// The header that goes with it.
    pub(crate) fn header(self) -> Option<(HeaderName, &'static str)> {
        Some(match self {
            Self::NoToken => (header::WWW_AUTHENTICATE, r#"Bearer realm="queues""#),
            Self::BadToken => (header::WWW_AUTHENTICATE, r#"Bearer realm="queues", error="invalid_token""#),
            Self::Method => (header::ALLOW, "GET, HEAD"),
            Self::TooOften => (header::RETRY_AFTER, "1"),
            Self::NobodyToAsk | Self::Incomplete | Self::NoAnswer => (header::RETRY_AFTER, "5"),
            _ => return None,
        })
    }
}
