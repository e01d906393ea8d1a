//! What the Secret should have next. Nothing here has a clock, or reads or writes anything.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::secret::Contents;

/// How long certificates are valid. Each is renewed when two thirds of it are over.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// The authority's.
    pub authority: Duration,
    /// The webhook's own.
    pub certificate: Duration,
}

/// By how much clocks may differ.
const SKEW: Duration = Duration::from_secs(5 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The authority's name: with its key, all that a signature needs of it.
const AUTHORITY: &str = "pac-concurrency-webhook authority";

/// Whom certificates are for, how long they live, and what time it is.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The host under which the API server knows the webhook.
    pub(crate) host: String,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) now: SystemTime,
}

// === impl Lifetimes ===

impl Default for Lifetimes {
    fn default() -> Self {
        Self { authority: DAY * 3650, certificate: DAY * 90 }
    }
}

/// What is to be written, if anything: one step at a time. `trusts` says whether the configuration trusts an authority (PEM) by now.
pub(crate) fn next(
    kept: &Contents,
    terms: &Terms,
    trusts: impl Fn(&[u8]) -> bool,
) -> Result<Option<Contents>, rcgen::Error> {
    let authorities = authorities(&kept.authorities);
    let is_usable = is_vouched_for(kept, &authorities, terms);
    let Some(signs) = authorities.first().filter(|first| is_fresh(first, terms)) else {
        return begin(kept, &authorities, terms, is_usable).map(Some);
    };
    let is_of_first = is_vouched_for(kept, std::slice::from_ref(signs), terms);
    let is_due = !is_of_first || leaf(kept).is_none_or(|leaf| !is_fresh(&leaf, terms));
    if !is_due || (is_usable && !trusts(pem(signs).as_bytes())) {
        return Ok(None);
    }
    let Some(issuer) = issuer(&kept.authority_key) else {
        return begin(kept, &authorities, terms, is_usable).map(Some);
    };
    let (certificate, key) = new_certificate(&issuer, terms)?;
    // Whoever still shows the last certificate needs the authority that signed it.
    let bundle = if is_of_first { pem(signs).into_bytes() } else { kept.authorities.clone() };
    let next = Contents { certificate, key, authorities: bundle, authority_key: kept.authority_key.clone() };
    match is_vouched_for(&next, std::slice::from_ref(signs), terms) {
        true => Ok(Some(next)),
        // The key isn't the authority's.
        false => begin(kept, &authorities, terms, is_usable).map(Some),
    }
}

/// With an authority that is new, beside those that were there.
fn begin(
    kept: &Contents,
    authorities: &[CertificateDer<'static>],
    terms: &Terms,
    is_usable: bool,
) -> Result<Contents, rcgen::Error> {
    let (authority, key, issuer) = new_authority(terms)?;
    let others = authorities.iter().filter(|other| is_valid(other, terms));
    let bundle: String = [&authority].into_iter().chain(others).map(pem).collect();
    let mut next = Contents { authorities: bundle.into(), authority_key: key.into(), ..kept.clone() };
    if !is_usable {
        // Nobody trusts what is there, so that nothing is lost by not waiting for the configuration.
        (next.certificate, next.key) = new_certificate(&issuer, terms)?;
    }
    Ok(next)
}

fn new_authority(terms: &Terms) -> Result<(CertificateDer<'static>, String, Issuer<'static, KeyPair>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = authority_params();
    params.not_before = (terms.now - SKEW).into();
    params.not_after = (terms.now + terms.lifetimes.authority).into();
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().clone(), key.serialize_pem(), Issuer::new(params, key)))
}

/// Who signs with this key, if it is one.
fn issuer(key: &[u8]) -> Option<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(std::str::from_utf8(key).ok()?).ok()?;
    Some(Issuer::new(authority_params(), key))
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A certificate and its key, as PEM.
fn new_certificate(issuer: &Issuer<'_, KeyPair>, terms: &Terms) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![terms.host.clone()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, terms.host.clone());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (terms.now - SKEW).into();
    params.not_after = (terms.now + terms.lifetimes.certificate).into();
    let certificate = params.signed_by(&key, issuer)?;
    Ok((certificate.pem().into_bytes(), key.serialize_pem().into_bytes()))
}

/// As a text file has it.
fn pem(der: &CertificateDer<'static>) -> String {
    let encoded = STANDARD.encode(der);
    let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy);
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

fn authorities(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

fn leaf(kept: &Contents) -> Option<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(&kept.certificate).ok()
}

/// Whether certificate and key belong together, and one of the authorities vouches for it and for the host, now.
fn is_vouched_for(kept: &Contents, authorities: &[CertificateDer<'static>], terms: &Terms) -> bool {
    let verified = || {
        let chain = pac_tls::certified_key(&kept.certificate, &kept.key).ok()?.cert;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(authorities.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let name = ServerName::try_from(terms.host.clone()).ok()?;
        let now = terms.now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        let (leaf, others) = chain.split_first()?;
        verifier.verify_server_cert(leaf, others, &name, &[], UnixTime::since_unix_epoch(now)).ok()
    };
    verified().is_some()
}

/// Whether less than two thirds of its life are over.
fn is_fresh(certificate: &CertificateDer<'_>, terms: &Terms) -> bool {
    pac_tls::validity(certificate).is_some_and(|validity| {
        let life = validity.not_after.duration_since(validity.not_before).unwrap_or_default();
        terms.now < validity.not_before + life * 2 / 3
    })
}

fn is_valid(certificate: &CertificateDer<'_>, terms: &Terms) -> bool {
    pac_tls::validity(certificate).is_some_and(|validity| terms.now < validity.not_after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(now: SystemTime) -> Terms {
        Terms { host: "webhook.ns.svc".to_owned(), lifetimes: Lifetimes::default(), now }
    }

    fn step(kept: &Contents, now: SystemTime, trusted: bool) -> Option<Contents> {
        next(kept, &terms(now), |_| trusted).unwrap()
    }

    fn is_usable(contents: &Contents, now: SystemTime) -> bool {
        is_vouched_for(contents, &authorities(&contents.authorities), &terms(now))
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    #[test]
    fn an_empty_secret_gets_all_of_it_at_once() {
        let made = step(&Contents::default(), start(), false).unwrap();
        assert!(is_usable(&made, start()) && is_usable(&made, start() + DAY * 89));
        assert!(!is_usable(&made, start() + DAY * 91));
        assert_eq!(step(&made, start(), true), None);
        assert_eq!(step(&made, start() + DAY * 59, true), None);
        assert_eq!(authorities(&made.authorities).len(), 1);
    }

    #[test]
    fn a_certificate_is_renewed_by_its_authority_long_before_it_expires() {
        let made = step(&Contents::default(), start(), false).unwrap();
        let then = start() + DAY * 61;
        let renewed = step(&made, then, true).unwrap();
        assert!(is_usable(&renewed, then + DAY * 89));
        assert_eq!((&renewed.authorities, &renewed.authority_key), (&made.authorities, &made.authority_key));
        assert_eq!(step(&renewed, then, true), None);
    }

    #[test]
    fn an_authority_is_replaced_step_by_step_and_every_certificate_stays_trusted() {
        let mut old = step(&Contents::default(), start(), false).unwrap();
        let then = start() + DAY * 2440;
        // Meanwhile it was renewed often.
        old = step(&old, start() + DAY * 2400, true).unwrap();
        let joined = step(&old, then, true).unwrap();
        assert_eq!(joined.certificate, old.certificate);
        assert_eq!(authorities(&joined.authorities).len(), 2);
        assert!(is_usable(&joined, then));
        assert_eq!(step(&joined, then, false), None, "the configuration doesn't trust the new one yet");
        let signed = step(&joined, then, true).unwrap();
        assert_ne!(signed.certificate, old.certificate);
        let of_both = Contents { certificate: old.certificate, key: old.key, ..signed.clone() };
        assert!(is_usable(&of_both, then), "what other replicas show still is trusted");
        assert_eq!(step(&signed, then, true), None);
        let alone = step(&signed, then + DAY * 61, true).unwrap();
        assert_eq!(authorities(&alone.authorities).len(), 1);
        assert!(is_usable(&alone, then + DAY * 61));
    }

    #[test]
    fn what_can_not_be_used_is_made_anew() {
        let made = step(&Contents::default(), start(), false).unwrap();
        let other = step(&Contents::default(), start(), false).unwrap();
        let broken = [
            Contents { key: other.key.clone(), ..made.clone() },
            Contents { certificate: b"nonsense".to_vec(), ..made.clone() },
            Contents { authorities: other.authorities.clone(), ..made.clone() },
            Contents { authority_key: other.authority_key.clone(), key: other.key.clone(), ..made.clone() },
            Contents { authority_key: Vec::new(), authorities: Vec::new(), ..made.clone() },
        ];
        for kept in broken {
            let mended = step(&kept, start(), false).unwrap();
            assert!(is_usable(&mended, start()));
            assert_eq!(step(&mended, start(), true), None);
        }
        let late = step(&made, start() + DAY * 120, false).unwrap();
        assert!(is_usable(&late, start() + DAY * 120), "expired, it is renewed whatever the configuration trusts");
    }
}
