//! From when to when a certificate is valid.

use std::time::{Duration, SystemTime};

use crate::certificate::Certificate;

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub not_before: SystemTime,
    /// Until then.
    pub not_after: SystemTime,
}

/// When the certificate `der` is valid; none where it can't be read.
pub fn validity(der: &[u8]) -> Option<Validity> {
    let [not_before, not_after] = Certificate::parse(der)?.times()?;
    Some(Validity { not_before: time(not_before)?, not_after: time(not_after)? })
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` after that: <https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5>.
fn time(text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let pair =
        |place: usize| digits.get(place..place + 2).map(|two| u64::from(two[0] - b'0') * 10 + u64::from(two[1] - b'0'));
    let (year, rest) = match digits.len() {
        12 => (pair(0)? + if pair(0)? < 50 { 2000 } else { 1900 }, 2),
        14 => (pair(0)? * 100 + pair(2)?, 4),
        _ => return None,
    };
    let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|place| pair(rest + place));
    let days = days_since_1970(year, month?, day?)?;
    let seconds = ((days * 24 + hour?) * 60 + minute?) * 60 + second?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let before = BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let leap_years = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_years(year) != leap_years(year - 1);
    let years = year.checked_sub(1970)?;
    let leap_days = leap_years(year - 1) - leap_years(1969) + u64::from(is_leap && month > 2);
    Some(years * 365 + leap_days + before + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn seconds(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn times_are_read_as_they_were_written() {
        // Before and after a leap day, the century's end that has one, and both ways of writing.
        let whole = [0, 951_782_399, 951_868_800, 1_709_251_199, 2_524_607_999, 2_524_608_000, 4_107_542_400];
        for at in whole {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (seconds(at).into(), seconds(at + 86_399).into());
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let expected = Validity { not_before: seconds(at), not_after: seconds(at + 86_399) };
            assert_eq!(validity(certificate.der()), Some(expected), "{at}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "Z", "2601010000Z", "261301000000Z", "260100000000Z", "260101000000", "26O101000000Z"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(validity(b"no certificate"), None);
    }
}
