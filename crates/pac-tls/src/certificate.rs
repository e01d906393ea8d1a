//! What it is about a certificate that the TLS library can't deal with, or nearly nobody can.
//!
//! The library's own words for it are a list of object identifiers. Only as much of a certificate is read as the answer takes.

/// What about the certificate `der` keeps this program from checking it; none if it is nothing that shows in the
/// certificate alone.
pub fn peculiarity(der: &[u8]) -> Option<String> {
    let certificate = Certificate::parse(der)?;
    if certificate.version < 3 {
        return Some(format!(
            "its certificate is of X.509 version {}, and this program checks those of version 3 alone: have it issued anew \
             with a subjectAltName, which makes it one",
            certificate.version
        ));
    }
    if let Some(key) = odd_key(&certificate) {
        return Some(format!(
            "its certificate has {key}, which this program can't check: use one on P-256 or P-384, Ed25519, or RSA of 2048 \
             bits or more"
        ));
    }
    if let Some(signature) = odd_signature(certificate.signature) {
        return Some(format!(
            "its certificate is signed with {signature}, which this program doesn't accept: have it signed with SHA-256 or \
             SHA-384"
        ));
    }
    (!certificate.has_alternative_name).then(|| {
        "its certificate has no subjectAltName: a common name alone says nothing of the hosts it is for".to_owned()
    })
}

/// The parts of a certificate that are looked at.
pub(crate) struct Certificate<'d> {
    version: u8,
    /// From when to when it is valid.
    validity: &'d [u8],
    /// Object identifiers, without tag and length.
    signature: &'d [u8],
    key: &'d [u8],
    curve: Option<&'d [u8]>,
    /// What the key consists of.
    key_bits: &'d [u8],
    has_alternative_name: bool,
}

// Object identifiers: <https://www.rfc-editor.org/rfc/rfc3279>, rfc5480, rfc8410.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ED448: &[u8] = &[0x2b, 0x65, 0x71];
const DSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01];
const MD5_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04];
const SHA1_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x05];
const ECDSA_WITH_SHA1: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01];
const ECDSA_WITH_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
/// The extension's identifier with tag and length.
const ALTERNATIVE_NAME: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];

fn odd_key(certificate: &Certificate<'_>) -> Option<String> {
    match (certificate.key, certificate.curve) {
        (_, Some(P521)) => Some("a key on the curve P-521 (secp521r1)".to_owned()),
        (ED448, _) => Some("an Ed448 key".to_owned()),
        (DSA, _) => Some("a DSA key".to_owned()),
        (RSA, _) => {
            rsa_bits(certificate.key_bits).filter(|bits| *bits < 2048).map(|bits| format!("an RSA key of {bits} bits"))
        }
        _ => None,
    }
}

fn odd_signature(signature: &[u8]) -> Option<&'static str> {
    match signature {
        MD5_WITH_RSA => Some("MD5"),
        SHA1_WITH_RSA | ECDSA_WITH_SHA1 => Some("SHA-1"),
        ECDSA_WITH_SHA512 => Some("ECDSA and SHA-512"),
        _ => None,
    }
}

/// The modulus is the first number of the key.
fn rsa_bits(key: &[u8]) -> Option<usize> {
    let (_, mut key) = element(key)?;
    let modulus = next(&mut key)?;
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    Some(modulus.len() * 8)
}

// === impl Certificate ===

impl<'d> Certificate<'d> {
    pub(crate) fn parse(der: &'d [u8]) -> Option<Self> {
        const CONTEXT_0: u8 = 0xa0;
        let (_, certificate) = element(der)?;
        let (_, mut rest) = element(certificate)?;
        let version = match element(rest)? {
            (CONTEXT_0, version) => {
                next(&mut rest)?;
                element(version)?.1.last()? + 1
            }
            _ => 1,
        };
        let _serial = next(&mut rest)?;
        let signature = element(next(&mut rest)?)?.1;
        let (_issuer, validity, _subject) = (next(&mut rest)?, next(&mut rest)?, next(&mut rest)?);
        let mut public_key = next(&mut rest)?;
        let mut algorithm = next(&mut public_key)?;
        let key = next(&mut algorithm)?;
        // Of RSA there is a null here.
        let curve = next(&mut algorithm).filter(|curve| !curve.is_empty());
        // The first byte of a bit string says how many bits of the last don't count.
        let key_bits = next(&mut public_key)?.get(1..)?;
        let has_alternative_name = rest.windows(ALTERNATIVE_NAME.len()).any(|window| window == ALTERNATIVE_NAME);
        Some(Self { version, validity, signature, key, curve, key_bits, has_alternative_name })
    }

    /// The two times of its validity, as they are written.
    pub(crate) fn times(&self) -> Option<[&'d [u8]; 2]> {
        let mut times = self.validity;
        Some([next(&mut times)?, next(&mut times)?])
    }
}

/// The tag and the content of the DER element that `der` begins with.
fn element(der: &[u8]) -> Option<(u8, &[u8])> {
    let (header, length) = extent(der)?;
    Some((*der.first()?, der.get(header..header + length)?))
}

/// The content of the next element, which is taken off.
fn next<'d>(der: &mut &'d [u8]) -> Option<&'d [u8]> {
    let (header, length) = extent(der)?;
    let content = der.get(header..header + length)?;
    *der = der.get(header + length..)?;
    Some(content)
}

/// The length of an element's header, and of its content.
fn extent(der: &[u8]) -> Option<(usize, usize)> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some((2, first));
    }
    let count = first - 0x80;
    // More than four bytes is no certificate.
    let bytes = der.get(2..2 + count).filter(|_| count <= 4)?;
    Some((2 + count, bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte))))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn made(names: &[&str]) -> Vec<u8> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(names).unwrap().self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn an_ordinary_certificate_has_nothing_odd() {
        assert_eq!(peculiarity(&made(&["localhost"])), None);
    }

    #[test]
    fn a_certificate_without_names_is_odd() {
        assert!(peculiarity(&made(&[])).is_some_and(|what| what.contains("no subjectAltName")));
    }

    #[test]
    fn what_is_no_certificate_is_nothing_to_say_of() {
        let whole = made(&["localhost"]);
        for length in 0..whole.len() {
            // Cut off anywhere, it must not be read past its end.
            let _ = peculiarity(&whole[..length]);
        }
        assert_eq!(peculiarity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }
}
