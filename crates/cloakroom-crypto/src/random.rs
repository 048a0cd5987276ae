//! Random texts: tokens that have nothing to do with the value they stand for.

use crate::CryptoError;
use crate::os_random::fill;
use crate::text::push_ascii;

/// Characters of [`push_base32`]: 130 bits. Among a billion of them, two are equal with a probability of 2^-71; guessing
/// one that exists is as hopeless.
pub const BASE32_LEN: usize = 26;
/// Characters of a UUID.
pub const UUID_LEN: usize = 36;

/// Small letters and digits that no one mistakes for one another, as in key ids: a database that does not tell capital
/// from small letters keeps such texts apart.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Appends [`BASE32_LEN`] random characters of `a-z2-7`.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn push_base32(out: &mut String) -> Result<(), CryptoError> {
    let mut text = [0; BASE32_LEN];
    fill(&mut text)?;
    for byte in &mut text {
        *byte = BASE32[usize::from(*byte & 31)];
    }
    push_ascii(out, &text);
    Ok(())
}

/// Whether a text has the form of [`push_base32`].
#[must_use]
pub fn is_base32(text: &str) -> bool {
    text.len() == BASE32_LEN && text.bytes().all(|byte| BASE32.contains(&byte))
}

/// Appends a random UUID (RFC 9562 section 5.4, version 4: 122 random bits).
///
/// # Errors
/// [`CryptoError::Random`].
pub fn push_uuid(out: &mut String) -> Result<(), CryptoError> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = [0; 16];
    fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let mut text = [b'-'; UUID_LEN];
    let places = (0..UUID_LEN).filter(|at| !HYPHENS.contains(at));
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (at, digit) in places.zip(digits) {
        text[at] = HEX[usize::from(digit)];
    }
    push_ascii(out, &text);
    Ok(())
}

/// Where the hyphens of a UUID stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Whether a text has the form of [`push_uuid`].
#[must_use]
pub fn is_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == UUID_LEN
        && bytes[14] == b'4'
        && matches!(bytes[19], b'8' | b'9' | b'a' | b'b')
        && bytes.iter().enumerate().all(|(at, byte)| match HYPHENS.contains(&at) {
            true => *byte == b'-',
            false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Fills a slice with random values from 0 to 9, all equally probable.
///
/// # Errors
/// [`CryptoError::Random`].
pub fn digits(out: &mut [u8]) -> Result<(), CryptoError> {
    let mut drawn = [0; 64];
    let mut left = drawn.len();
    for digit in out {
        // 250 is the largest multiple of ten in a byte; what lies above would make small digits more probable.
        *digit = loop {
            if left == drawn.len() {
                fill(&mut drawn)?;
                left = 0;
            }
            left += 1;
            if drawn[left - 1] < 250 {
                break drawn[left - 1] % 10;
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::HashSet;

    fn drawn(push: fn(&mut String) -> Result<(), CryptoError>) -> String {
        let mut text = String::new();
        push(&mut text).unwrap();
        text
    }

    #[test]
    fn texts_have_their_form_and_differ() {
        for (push, is, different) in [
            (push_base32 as fn(&mut String) -> Result<(), CryptoError>, is_base32 as fn(&str) -> bool, 32),
            (push_uuid, is_uuid, 17),
        ] {
            let texts: HashSet<String> = (0..1000).map(|_| drawn(push)).collect();
            assert_eq!(texts.len(), 1000);
            assert!(texts.iter().all(|text| is(text)));
            // Every character that may stand somewhere stands somewhere.
            let characters: HashSet<char> = texts.iter().flat_map(|text| text.chars()).collect();
            assert_eq!(characters.len(), different);
        }
        assert!(is_uuid("9c5b94b1-35ad-49bb-b118-8e8fc24abf80"));
        for text in ["9c5b94b1-35ad-19bb-b118-8e8fc24abf80", "9C5b94b1-35ad-49bb-b118-8e8fc24abf80", "", "9c5b94b1"] {
            assert!(!is_uuid(text) && !is_base32(text));
        }
        assert!(!is_base32("abcdefghijklmnopqrstuvwxy1"));
    }

    #[test]
    fn digits_are_equally_frequent() {
        let mut many = vec![0; 100_000];
        digits(&mut many).unwrap();
        for digit in 0..10 {
            let count = many.iter().filter(|&&each| each == digit).count();
            // Ten standard deviations.
            assert!((9_050..=10_950).contains(&count), "{digit}: {count}");
        }
    }
}
