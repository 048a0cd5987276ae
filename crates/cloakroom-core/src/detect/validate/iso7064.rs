//! Check characters after ISO/IEC 7064: the pure systems mod 11-2, 37-2, 97-10, 661-26, 1271-36 and the hybrid systems
//! mod 11,10, mod 27,26 and mod 37,36.
//!
//! A pure system `(modulus, radix)` reads a text as the digits of a number in its radix: the text with its check
//! characters is congruent to 1. A hybrid system `(modulus + 1, modulus)` doubles a running sum modulo the modulus plus one.

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[
    ("iso7064_mod_11_10", |candidate| Verdict::checksum(mod_11_10(&candidate.digits()))),
    ("iso7064_mod_97_10", |candidate| checked(candidate, mod_97_10)),
    ("iso7064_mod_11_2", |candidate| checked(candidate, mod_11_2)),
    ("iso7064_mod_37_2", |candidate| checked(candidate, mod_37_2)),
    ("iso7064_mod_661_26", |candidate| checked(candidate, mod_661_26)),
    ("iso7064_mod_1271_36", |candidate| checked(candidate, mod_1271_36)),
    ("iso7064_mod_27_26", |candidate| checked(candidate, mod_27_26)),
    ("iso7064_mod_37_36", |candidate| checked(candidate, mod_37_36)),
];

fn checked(candidate: &Candidate<'_>, system: fn(&[u8]) -> bool) -> Verdict {
    Verdict::checksum(system(&candidate.alphanumeric()))
}

/// The remainder of the number that digits (0 to 9) write, however long.
#[must_use]
pub(crate) fn remainder(digits: &[u8], modulus: u32) -> u32 {
    digits.iter().fold(0, |remainder, &digit| (remainder * 10 + u32::from(digit)) % modulus)
}

/// 0 to 9 of a digit, 10 to 35 of a letter.
fn alphanumeric(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'A'..=b'Z' => Some(u32::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 10),
        _ => None,
    }
}

/// 0 to 25 of a letter.
fn letter(byte: u8) -> Option<u32> {
    byte.is_ascii_alphabetic().then(|| u32::from(byte.to_ascii_uppercase() - b'A'))
}

/// A pure system. `supplementary`: the last character may be this, worth the radix of the alphabet (`X`, `*`).
fn pure(
    text: &[u8],
    (modulus, radix): (u32, u32),
    size: u32,
    supplementary: Option<u8>,
    value: fn(u8) -> Option<u32>,
) -> bool {
    let mut remainder = 0;
    for (index, &byte) in text.iter().enumerate() {
        let last = index + 1 == text.len();
        let worth = match value(byte).filter(|worth| *worth < size) {
            Some(worth) => worth,
            None if last && supplementary == Some(byte.to_ascii_uppercase()) => size,
            None => return false,
        };
        remainder = (remainder * radix + worth) % modulus;
    }
    text.len() > 1 && remainder == 1
}

/// A hybrid system over an alphabet of `size` characters.
fn hybrid(text: &[u8], size: u32, value: fn(u8) -> Option<u32>) -> bool {
    let Some((check, payload)) = text.split_last() else { return false };
    let mut product = size;
    for &byte in payload {
        let Some(worth) = value(byte).filter(|worth| *worth < size) else { return false };
        let sum = (product + worth) % size;
        product = if sum == 0 { size } else { sum } * 2 % (size + 1);
    }
    !payload.is_empty() && value(*check).is_some_and(|worth| worth < size && (product + worth) % size == 1)
}

/// Mod 11,10: digits 0 to 9 as numbers, the last one is the check digit (German tax ids, Croatian OIB).
#[must_use]
pub(crate) fn mod_11_10(digits: &[u8]) -> bool {
    hybrid(digits, 10, |digit| Some(u32::from(digit)))
}

/// Mod 27,26: a text of letters, the last one is the check letter.
#[must_use]
pub(crate) fn mod_27_26(text: &[u8]) -> bool {
    hybrid(text, 26, letter)
}

/// Mod 37,36: a text of letters and digits, the last one is the check character (Global Release Identifier, Livret).
#[must_use]
pub(crate) fn mod_37_36(text: &[u8]) -> bool {
    hybrid(text, 36, alphanumeric)
}

/// Mod 11-2: a text of ASCII digits, the last one is the check digit or `X` (ISNI, ORCID, Chinese resident numbers).
#[must_use]
pub(crate) fn mod_11_2(text: &[u8]) -> bool {
    pure(text, (11, 2), 10, Some(b'X'), alphanumeric)
}

/// Mod 37-2: a text of letters and digits, the last one is the check character or `*` (ISBT 128 donation numbers).
#[must_use]
pub(crate) fn mod_37_2(text: &[u8]) -> bool {
    pure(text, (37, 2), 36, Some(b'*'), alphanumeric)
}

/// Mod 97-10: a text of letters and digits that ends with two check digits; a letter counts as two digits, 10 to 35
/// (legal entity identifiers; an IBAN with its first four characters at its end).
#[must_use]
pub(crate) fn mod_97_10(text: &[u8]) -> bool {
    let mut remainder = 0;
    for &byte in text {
        let Some(worth) = alphanumeric(byte) else { return false };
        remainder = (remainder * if worth < 10 { 10 } else { 100 } + worth) % 97;
    }
    text.len() > 2 && remainder == 1
}

/// Mod 661-26: a text of letters that ends with two check letters.
#[must_use]
pub(crate) fn mod_661_26(text: &[u8]) -> bool {
    text.len() > 2 && pure(text, (661, 26), 26, None, letter)
}

/// Mod 1271-36: a text of letters and digits that ends with two check characters.
#[must_use]
pub(crate) fn mod_1271_36(text: &[u8]) -> bool {
    text.len() > 2 && pure(text, (1271, 36), 36, None, alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The right text, and that no other last character is right.
    fn only(system: fn(&[u8]) -> bool, text: &str, alphabet: &[u8]) {
        assert!(system(text.as_bytes()), "{text}");
        let mut other = text.as_bytes().to_vec();
        for &byte in alphabet {
            *other.last_mut().expect("a text") = byte;
            assert_eq!(system(&other), other == text.as_bytes(), "{text} with {}", byte as char);
        }
    }

    const DIGITS: &[u8] = b"0123456789";
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const BOTH: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    #[test]
    fn mod_11_10_vectors() {
        let system = |text: &[u8]| mod_11_10(&super::super::Digits::of(text));
        // ISO/IEC 7064's 0794 with its check digit 5; a German tax id (BZSt's test number); OIB of the Croatian tax office.
        for text in ["07945", "86095742719", "18683136487"] {
            only(system, text, DIGITS);
        }
        assert!(!mod_11_10(&[]) && !mod_11_10(&[1]) && !mod_11_10(&[0]) && !mod_11_10(&[200, 1]));
    }

    #[test]
    fn pure_vectors() {
        // ISO/IEC 7064's examples 0794 and 079; ORCID's 0000-0002-1825-0097 and -9079-593X.
        for text in ["07940", "079X", "0000000218250097", "000000029079593X"] {
            only(mod_11_2, text, b"0123456789X");
        }
        // ICCBBA's sample donation number of ISBT 128.
        only(mod_37_2, "G123498654321H", b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ*");
        // ISO/IEC 7064's example 794, and the LEI of the Global Legal Entity Identifier Foundation.
        only(mod_97_10, "79444", DIGITS);
        only(mod_97_10, "506700GE1G29325QX363", DIGITS);
        only(mod_661_26, "ISOHJTC", LETTERS);
        only(mod_1271_36, "ISO793W", BOTH);
        for system in [mod_11_2, mod_37_2, mod_97_10, mod_661_26, mod_1271_36] {
            assert!(!system(b"") && !system(b"1") && !system(b"A") && !system("0\u{e9}1".as_bytes()) && !system(b"X1"));
        }
    }

    #[test]
    fn hybrid_vectors() {
        // IFPI's sample of a Global Release Identifier.
        only(mod_37_36, "A12425GABC1234002M", BOTH);
        only(mod_27_26, "QWERTYDVORAKY", LETTERS);
        assert!(!mod_27_26(b"A1") && !mod_37_36(b"A-1") && !mod_37_36(b""));
    }
}
