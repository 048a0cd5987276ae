//! Hardware addresses (IEEE 802, EUI-48).

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("mac", mac), ("mac_with_letters", mac_with_letters)];

/// Six bytes that are no piece of a longer row of bytes (a fingerprint, a UUID), not all the same, and no date with a
/// time.
fn mac(candidate: &Candidate<'_>) -> Verdict {
    let value = candidate.value();
    let joins = |near: u8, far: u8| matches!(near, b':' | b'-' | b'.') && far.is_ascii_hexdigit();
    let joined = match *candidate.before() {
        // `mac:00:11:…`: the word in front is no byte.
        [.., fourth, third, far, near] if joins(near, far) => {
            third.is_ascii_hexdigit() && !fourth.is_ascii_alphanumeric() || !third.is_ascii_alphanumeric()
        }
        [third, far, near] if joins(near, far) => third.is_ascii_hexdigit(),
        [far, near] => joins(near, far),
        _ => false,
    } || matches!(*candidate.after(), [near, far, ..] if joins(near, far));
    // A fingerprint over several lines: the line above ends with a byte and a colon.
    let joined = joined || {
        let before = candidate.before();
        let near = before.get(before.len().saturating_sub(64)..).unwrap_or_default();
        let above = near.trim_ascii_end();
        near.get(above.len()..).is_some_and(|gap| gap.contains(&b'\n'))
            && matches!(above, [.., a, b, b':'] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
    };
    let letters = candidate.alphanumeric();
    let varied = letters.iter().any(|sign| Some(sign) != letters.first());
    let moment = {
        let digits = candidate.digits();
        digits.len() == 12
            && (1..=12).contains(&digits.number(2..4))
            && (1..=31).contains(&digits.number(4..6))
            && digits.number(6..8) < 24
            && digits.number(8..10) < 60
            && digits.number(10..12) < 60
    };
    Verdict::plausible(letters.len() == 12 && varied && !joined && !(moment && value.len() > 12))
}

/// Forms that numbers have as well: a letter makes the difference.
fn mac_with_letters(candidate: &Candidate<'_>) -> Verdict {
    let letter = candidate.value().iter().any(u8::is_ascii_alphabetic);
    if letter { mac(candidate) } else { Verdict::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let verdict = |text: &str, span: std::ops::Range<usize>| {
            mac(&Candidate::new(text.as_bytes(), span).expect("in the text"))
        };
        // RFC 7042 section 2.1.2: for documentation.
        assert_eq!(verdict("00:00:5E:00:53:AF", 0..17), Verdict::Plausible);
        assert_eq!(verdict("mac:00:00:5E:00:53:AF", 4..21), Verdict::Plausible);
        assert_eq!(verdict("ad:20:d9:\n  00:00:5E:00:53:AF", 12..29), Verdict::Invalid);
        assert_eq!(verdict("interfaces:\n  00:00:5E:00:53:AF", 14..31), Verdict::Plausible);
        assert_eq!(verdict("ac:00:00:5E:00:53:AF", 3..20), Verdict::Invalid);
        assert_eq!(verdict("00:00:5E:00:53:AF:01", 0..17), Verdict::Invalid);
        assert_eq!(verdict("ff:ff:ff:ff:ff:ff", 0..17), Verdict::Invalid);
        assert_eq!(verdict("24-11-21-10-30-00", 0..17), Verdict::Invalid);
    }
}
