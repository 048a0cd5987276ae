//! FF1 against NIST's samples and against the crate `fpe`.

#![allow(clippy::unwrap_used)]

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};
use proptest::prelude::*;

use super::*;

fn key(bytes: [u8; 32]) -> FormatKey {
    FormatKey::from_secret(KeyId::parse("aaaaaaaa").unwrap(), &SecretKey::from_bytes(bytes))
}

fn encrypted(key: &FormatKey, tweak: &[u8], digits: &str) -> Result<String, CryptoError> {
    let mut bytes = digits.as_bytes().to_vec();
    key.encrypt(tweak, &mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}

fn decrypted(key: &FormatKey, tweak: &[u8], digits: &str) -> Result<String, CryptoError> {
    let mut bytes = digits.as_bytes().to_vec();
    key.decrypt(tweak, &mut bytes)?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// The crate's FF1 of the same digits.
fn oracle(key: &[u8; 32], tweak: &[u8], digits: &str) -> String {
    let ff1 = FF1::<Aes256>::new(key, 10).unwrap();
    let numerals: Vec<u16> = digits.bytes().map(|digit| u16::from(digit - b'0')).collect();
    let encrypted = ff1.encrypt(tweak, &FlexibleNumeralString::from(numerals)).unwrap();
    Vec::<u16>::from(encrypted).into_iter().map(|digit| char::from(b'0' + digit as u8)).collect()
}

/// NIST, "FF1 samples" of the cryptographic standards' examples with intermediate values: samples 7 and 8, AES-256.
/// (Sample 9 has radix 36.)
#[test]
fn nist_samples() {
    let mut bytes = [0; 32];
    bytes[..16].copy_from_slice(&0x2b7e151628aed2a6abf7158809cf4f3c_u128.to_be_bytes());
    bytes[16..].copy_from_slice(&0xef4359d8d580aa4f7f036d6f04fc6a94_u128.to_be_bytes());
    let key = key(bytes);
    let tweak = [0x39, 0x38, 0x37, 0x36, 0x35, 0x34, 0x33, 0x32, 0x31, 0x30];
    for (tweak, expected) in [(&[][..], "6657667009"), (&tweak, "1001623463")] {
        assert_eq!(encrypted(&key, tweak, "0123456789").as_deref(), Ok(expected));
        assert_eq!(decrypted(&key, tweak, expected).as_deref(), Ok("0123456789"));
    }
}

#[test]
fn lengths_and_letters_are_refused() {
    let key = key([1; 32]);
    for digits in ["", "1", "12345", &"1".repeat(37)] {
        assert_eq!(encrypted(&key, b"", digits), Err(CryptoError::FormatLength), "{} digits", digits.len());
        assert_eq!(decrypted(&key, b"", digits), Err(CryptoError::FormatLength));
    }
    for text in ["12345a", "1234-5", "12345٣"] {
        assert_eq!(encrypted(&key, b"", text), Err(CryptoError::NotDigits));
    }
    let seven = key.tweaked(7, b"").unwrap();
    assert_eq!(seven.encrypt(&mut b"123456".to_vec()), Err(CryptoError::FormatLength));
    let long = vec![0; 65_536];
    assert_eq!(encrypted(&key, &long, "123456"), Err(CryptoError::AdditionalDataTooLong("tweak")));
    assert_eq!(encrypted(&key, &long[1..], "123456").unwrap(), oracle(&[1; 32], &long[1..], "123456"));
}

/// A permutation: all million numbers of six digits, each reached once.
#[test]
fn six_digits_are_permuted() {
    let key = key([2; 32]);
    let tweaked = key.tweaked(6, b"t").unwrap();
    let mut reached = vec![false; 1_000_000];
    for number in 0..1_000_000 {
        let mut digits = format!("{number:06}").into_bytes();
        tweaked.encrypt(&mut digits).unwrap();
        let at: usize = std::str::from_utf8(&digits).unwrap().parse().unwrap();
        assert!(!std::mem::replace(&mut reached[at], true));
    }
}

#[test]
fn debug_shows_the_kid_only() {
    assert_eq!(format!("{:?}", key([3; 32])), "FormatKey(aaaaaaaa, [secret])");
}

/// Nines carry, zeros must not be lost: every length with each, under tweaks on both sides of a block's end.
#[test]
fn every_length_equals_the_oracle() {
    for len in MIN_DIGITS..=MAX_DIGITS {
        for digits in ["0".repeat(len), "9".repeat(len), "1234567890".repeat(4)[..len].to_owned()] {
            for tweak_len in 0..=40 {
                let tweak = vec![tweak_len as u8; tweak_len];
                let ours = encrypted(&key([4; 32]), &tweak, &digits).unwrap();
                assert_eq!(ours, oracle(&[4; 32], &tweak, &digits), "{len} digits, tweak of {tweak_len}");
            }
        }
    }
}

proptest! {
    #[test]
    fn equals_the_oracle_and_comes_back(
        bytes: [u8; 32], tweak in proptest::collection::vec(any::<u8>(), 0..=40), digits in "[0-9]{6,36}",
    ) {
        let key = key(bytes);
        let ours = encrypted(&key, &tweak, &digits).unwrap();
        prop_assert_eq!(&ours, &oracle(&bytes, &tweak, &digits));
        prop_assert_eq!(decrypted(&key, &tweak, &ours).unwrap(), digits);
    }

    #[test]
    fn a_tweak_counts(
        a in proptest::collection::vec(any::<u8>(), 0..20), b in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        prop_assume!(a != b);
        let (key, digits) = (key([5; 32]), "0".repeat(36));
        prop_assert_ne!(encrypted(&key, &a, &digits), encrypted(&key, &b, &digits));
    }
}
