//! The token of a request, and what is remembered of it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::hmac;
use ring::rand::SystemRandom;

use crate::refusal::Refusal;

/// A bearer token as it came. It is never printed or kept.
pub(crate) struct Token<'h>(&'h str);

/// What a token is recognized by: nobody can tell the token from it, or recognize it in another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint([u8; 32]);

/// Makes fingerprints, with a key that dies with the process.
#[derive(Debug)]
pub(crate) struct Fingerprints(hmac::Key);

// === impl Token ===

impl<'h> Token<'h> {
    /// The token of a request: of one `Authorization` header, and of nothing else that was sent.
    pub(crate) fn of(headers: &'h HeaderMap) -> Result<Self, Refusal> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return Err(Refusal::NoToken) };
        let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Refusal::NoToken)?;
        let token = token.trim_matches(' ');
        // As RFC 6750 has it; the API server needn't be asked about anything else.
        let is_one = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        match scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
            true if token.bytes().all(is_one) => Ok(Self(token)),
            true => Err(Refusal::BadToken),
            false => Err(Refusal::NoToken),
        }
    }

    /// For the one who is asked about it.
    pub(crate) fn reveal(&self) -> &'h str {
        self.0
    }
}

// === impl Fingerprints ===

impl Fingerprints {
    /// With a new key; none if the system has no randomness.
    pub(crate) fn new() -> Option<Self> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok().map(Self)
    }

    pub(crate) fn of(&self, token: &Token<'_>) -> Fingerprint {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(hmac::sign(&self.0, token.0.as_bytes()).as_ref());
        Fingerprint(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&str]) -> Result<String, Refusal> {
        let values = values.iter().map(|value| (AUTHORIZATION, value.parse().unwrap()));
        Token::of(&values.collect()).map(|token| token.reveal().to_owned())
    }

    #[test]
    fn a_token_is_that_of_one_header_and_of_no_other_scheme() {
        assert_eq!(token(&["Bearer a.b-c_d~e+f/g=="]), Ok("a.b-c_d~e+f/g==".to_owned()));
        assert_eq!(token(&["bEARER  abc "]), Ok("abc".to_owned()));
        for values in [&[][..], &["Bearer"], &["Bearer "], &["Basic abc"], &["Bearer a", "Bearer a"], &["abc"]] {
            assert_eq!(token(values), Err(Refusal::NoToken), "{values:?}");
        }
        for values in [["Bearer a b"], ["Bearer a,b"], ["Bearer \"a\""]] {
            assert_eq!(token(&values), Err(Refusal::BadToken), "{values:?}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_one_token_in_one_process() {
        let (ours, theirs) = (Fingerprints::new().unwrap(), Fingerprints::new().unwrap());
        assert_eq!(ours.of(&Token("abc")), ours.of(&Token("abc")));
        assert_ne!(ours.of(&Token("abc")), ours.of(&Token("abd")));
        assert_ne!(ours.of(&Token("abc")), theirs.of(&Token("abc")));
    }
}
