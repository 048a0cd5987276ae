//! The envelope as a whole: the published vector, and everything that must not open.

#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::seal::seal_with_nonce;
use super::*;
use crate::{CryptoError, DataKey, DeterministicKey, KeyId, KeyRing, KeyState, RootKey, SecretKey};

const PLACE: Place<'static> = Place { tenant: "acme", collection: "user_logins", path: "/ip", subject: "user-42" };
const NONCE: [u8; 12] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab];
const GOLDEN_PADDED: &str =
    "ck1.a.dsfzvoj2.oKGio6SlpqeoqaqrR1HUQQNd6hPDSnCC3QqsuyoA_rulEiS5GO-F8gzPlBvo7JJ31fxfPp3Rq_xF_ErU";
const GOLDEN_SIV: &str = "ck1.s.dsfzvoj2.oKGio6SlpqeoqaqrUZbskoklrYnGMExT0sJp7RFDII0_tQuSgwCP";
const GOLDEN_DETERMINISTIC: &str = "ck1.d.dsfzvoj2.FJdHtqREdLFPRECw7_Nf_RjWAukGTcTc-BZp";
const GOLDEN: &str = "ck1.a.dsfzvoj2.oKGio6SlpqeoqaqrR1HUQQNd6hPDSnDidVf68tf2nWq-rLlqeZOe";

fn ring() -> KeyRing {
    let secret = SecretKey::from_bytes(std::array::from_fn(|i| i as u8));
    KeyRing::new(vec![RootKey::new(secret, "", KeyState::Active).unwrap()]).unwrap()
}

fn key() -> DataKey {
    ring().data_key("records").unwrap()
}

/// The keys of all three algorithms.
struct Keys(DataKey, DeterministicKey);

impl Keys {
    fn new() -> Self {
        Self(key(), ring().deterministic_key("login").unwrap())
    }

    fn all(&self) -> [(SealingKey<'_>, OpeningKey<'_>); 3] {
        let Self(data, deterministic) = self;
        [
            (SealingKey::AesGcm(data), data.into()),
            (SealingKey::AesGcmSiv(data), data.into()),
            (SealingKey::AesSiv(deterministic), deterministic.into()),
        ]
    }
}

const PADDINGS: [Padding; 4] = [Padding::None, Padding::To16, Padding::To32, Padding::To64];

fn sealed<'k>(key: impl Into<SealingKey<'k>>, aad: &AdditionalData<'_>, plaintext: &[u8]) -> String {
    let mut out = String::new();
    seal(key, aad, plaintext, &mut out).unwrap();
    out
}

#[test]
fn golden_envelope() {
    let mut out = String::from("before ");
    let aad = PLACE.with_type(ValueType::String);
    seal_with_nonce((&key()).into(), &aad, b"203.0.113.7", Padding::None, NONCE, &mut out).unwrap();
    assert_eq!(out, format!("before {GOLDEN}"));
    assert_eq!(open(&key(), &aad, GOLDEN).unwrap().as_slice(), b"203.0.113.7");
}

#[test]
fn golden_envelopes_of_the_others() {
    let (data, deterministic) = (key(), ring().deterministic_key("login").unwrap());
    let aad = PLACE.with_type(ValueType::String);
    let nobodys = Place { subject: "", ..PLACE }.with_type(ValueType::String);
    let check = |key: SealingKey<'_>, opening: OpeningKey<'_>, aad: &AdditionalData<'_>, padding, golden: &str| {
        let mut out = String::new();
        seal_with_nonce(key, aad, b"203.0.113.7", padding, NONCE, &mut out).unwrap();
        assert_eq!(out, golden);
        assert_eq!(open(opening, aad, golden).unwrap().as_slice(), b"203.0.113.7");
    };
    check((&data).into(), (&data).into(), &aad, Padding::To32, GOLDEN_PADDED);
    check(SealingKey::AesGcmSiv(&data), (&data).into(), &aad, Padding::None, GOLDEN_SIV);
    check((&deterministic).into(), (&deterministic).into(), &nobodys, Padding::None, GOLDEN_DETERMINISTIC);
}

#[test]
fn golden_additional_data() {
    let mut out = Vec::new();
    let aad = PLACE.with_type(ValueType::String);
    aad.encode(Algorithm::AesGcm, &KeyId::parse("dsfzvoj2").unwrap(), false, &mut out).unwrap();
    let expected: &[u8] = b"\x00\x0eck1.a.dsfzvoj2\x00\x04acme\x00\x0buser_logins\
        \x00\x03/ip\x00\x07user-42\x00\x06string";
    assert_eq!(out, expected);
}

#[test]
fn sealing_twice_differs_unless_deterministic() {
    let (keys, aad) = (Keys::new(), PLACE.with_type(ValueType::Null));
    for (seal, _) in keys.all() {
        let equal = sealed(seal, &aad, b"") == sealed(seal, &aad, b"");
        assert_eq!(equal, matches!(seal, SealingKey::AesSiv(_)), "{seal:?}");
    }
    let other = ring().deterministic_key("other").unwrap();
    assert_ne!(sealed(&other, &aad, b"v"), sealed(&keys.1, &aad, b"v"));
}

#[test]
fn padding_hides_the_length() {
    let (keys, aad) = (Keys::new(), PLACE.with_type(ValueType::Number));
    for (key, opening) in keys.all() {
        let of = |plaintext: &[u8]| {
            let mut out = String::new();
            seal_padded(key, &aad, plaintext, Padding::To16, &mut out).unwrap();
            assert_eq!(open(opening, &aad, &out).unwrap().as_slice(), plaintext);
            out.len()
        };
        assert_eq!(of(b""), of(&[7; 15]));
        assert!(of(&[7; 16]) > of(&[7; 15]));
    }
}

#[test]
fn items_have_a_length_limit() {
    let key = key();
    let (fits, long) = ("x".repeat(65_535), "x".repeat(65_536));
    let at = |path| AdditionalData { path, ..PLACE.with_type(ValueType::String) };
    let text = sealed(&key, &at(&fits), b"v");
    assert_eq!(open(&key, &at(&fits), &text).unwrap().as_slice(), b"v");

    let mut out = String::from("unchanged");
    let error = CryptoError::AdditionalDataTooLong("path");
    assert_eq!(seal(&key, &at(&long), b"v", &mut out), Err(error.clone()));
    assert_eq!(out, "unchanged");
    assert_eq!(open(&key, &at(&long), GOLDEN).unwrap_err(), error);
}

#[test]
fn other_keys_do_not_open() {
    let aad = PLACE.with_type(ValueType::String);
    let purpose = ring().data_key("other").unwrap();
    assert_eq!(open(&purpose, &aad, GOLDEN).unwrap_err(), CryptoError::Authentication);

    let next = RootKey::generate("2026-01-31T12:00:00Z").unwrap();
    let ring = ring().rotated(next).unwrap();
    let kid = KeyId::parse("dsfzvoj2").unwrap();
    let active = ring.data_key("records").unwrap();
    assert_eq!(open(&active, &aad, GOLDEN).unwrap_err(), CryptoError::OtherKey(kid));
    let old = ring.data_key_for(&kid, "records").unwrap();
    assert!(open(&old, &aad, GOLDEN).is_ok());
    let retired = Err(CryptoError::RetiredKey(kid));
    assert_eq!(seal(&old, &aad, b"v", &mut String::new()), retired);
    assert_eq!(seal(SealingKey::AesGcmSiv(&old), &aad, b"v", &mut String::new()), retired);
    // Equal values stay equal until new pseudonyms are wanted, too.
    let old = ring.deterministic_key_for(&kid, "login").unwrap();
    assert_eq!(seal(&old, &aad, b"v", &mut String::new()), Ok(()));
    let active = *ring.active_kid();
    let ring = ring.with_pseudonyms_of(&active).unwrap();
    let old = ring.deterministic_key_for(&kid, "login").unwrap();
    assert_eq!(seal(&old, &aad, b"v", &mut String::new()), retired);
    assert!(open(&old, &AdditionalData { subject: "", ..aad }, GOLDEN_DETERMINISTIC).is_ok());
}

#[test]
fn other_algorithms_say_so() {
    let aad = PLACE.with_type(ValueType::String);
    let mut token = String::new();
    ring().pseudonym_key("d").unwrap().token(b"v", &mut token);
    assert_eq!(open(&key(), &aad, &token).unwrap_err(), CryptoError::Token);
    let deterministic = GOLDEN.replace("ck1.a.", "ck1.d.");
    assert_eq!(open(&key(), &aad, &deterministic).unwrap_err(), CryptoError::OtherAlgorithm('d'));
    let key = ring().deterministic_key("d").unwrap();
    assert_eq!(open(&key, &aad, GOLDEN).unwrap_err(), CryptoError::OtherAlgorithm('a'));
    assert_eq!(open(&key, &aad, &token).unwrap_err(), CryptoError::Token);
}

/// The key is the same and only the header lies: the header is in the additional data, so even a
/// reader that ignored the key id could not be misled.
#[test]
fn a_swapped_kid_fails_even_with_the_same_key_bytes() {
    let secret = SecretKey::from_bytes([7; 32]);
    let make = |kid| DataKey::from_secret(KeyId::parse(kid).unwrap(), &secret, KeyState::Active).unwrap();
    let (a, b) = (make("aaaaaaaa"), make("bbbbbbbb"));
    let aad = PLACE.with_type(ValueType::String);
    let moved = |text: String| text.replace("aaaaaaaa", "bbbbbbbb");
    for seal in [SealingKey::AesGcm(&a), SealingKey::AesGcmSiv(&a)] {
        let text = moved(sealed(seal, &aad, b"v"));
        assert_eq!(open(&b, &aad, &text).unwrap_err(), CryptoError::Authentication);
    }
    let make = |kid| DeterministicKey::from_bytes(KeyId::parse(kid).unwrap(), [7; 64], KeyState::Active);
    let (a, b) = (make("aaaaaaaa"), make("bbbbbbbb"));
    let text = moved(sealed(&a, &aad, b"v"));
    assert_eq!(open(&b, &aad, &text).unwrap_err(), CryptoError::Authentication);
}

#[test]
fn large_values_and_the_buffers_after_them() {
    let (key, aad) = (key(), PLACE.with_type(ValueType::Object));
    let large = vec![0x5a; 1 << 20];
    let text = sealed(&key, &aad, &large);
    assert_eq!(*open(&key, &aad, &text).unwrap(), large);
    let text = sealed(&key, &aad, b"small");
    assert_eq!(open(&key, &aad, &text).unwrap().as_slice(), b"small");
}

#[test]
fn debug_hides_the_body() {
    let text = format!("{:?}", parse(GOLDEN).unwrap());
    assert!(text.contains("dsfzvoj2") && !text.contains("oKGi"), "{text}");
}

fn value_type() -> impl Strategy<Value = ValueType> {
    proptest::sample::select(&ValueType::ALL)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

fn place(items: &[String; 4]) -> Place<'_> {
    let [tenant, collection, path, subject] = items;
    Place { tenant, collection, path, subject }
}

proptest! {
    // Each case does all of its work three times, and flips every bit.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(
        items in proptest::array::uniform4(".{0,20}"), value_type in value_type(),
        plaintext in bytes(), padding in proptest::sample::select(&PADDINGS),
    ) {
        let keys = Keys::new();
        let place = place(&items);
        let aad = place.with_type(value_type);
        for (seal, opening) in keys.all() {
            let mut text = String::new();
            seal_padded(seal, &aad, &plaintext, padding, &mut text).unwrap();
            prop_assert!(looks_sealed(&text));
            prop_assert_eq!(parse(&text).unwrap().kid, *opening.kid());
            prop_assert_eq!(parse(&text).unwrap().alg, seal.algorithm());
            prop_assert_eq!(&*open(opening, &aad, &text).unwrap(), &plaintext);
            let (found, opened) = open_any_type(opening, &place, &text).unwrap();
            prop_assert_eq!((found, &*opened), (value_type, &plaintext));
        }
    }

    /// Any difference in any item, including text that moves from one item to the next.
    #[test]
    fn every_item_is_bound(
        a in proptest::array::uniform4("[ab|]{0,3}"), b in proptest::array::uniform4("[ab|]{0,3}"),
        type_a in value_type(), type_b in value_type(), padding in proptest::sample::select(&PADDINGS),
    ) {
        let keys = Keys::new();
        let (here, there) = (place(&a).with_type(type_a), place(&b).with_type(type_b));
        let same = a == b && type_a == type_b;
        for (seal, opening) in keys.all() {
            let (mut bytes_here, mut bytes_there) = (Vec::new(), Vec::new());
            here.encode(seal.algorithm(), opening.kid(), false, &mut bytes_here).unwrap();
            there.encode(seal.algorithm(), opening.kid(), false, &mut bytes_there).unwrap();
            prop_assert_eq!(bytes_here == bytes_there, same);

            let mut text = String::new();
            seal_padded(seal, &here, b"v", padding, &mut text).unwrap();
            let opened = open(opening, &there, &text).map(|v| v.to_vec());
            let expected = if same { Ok(b"v".to_vec()) } else { Err(CryptoError::Authentication) };
            prop_assert_eq!(opened, expected);
        }
    }

    #[test]
    fn every_bit_of_the_body_counts(plaintext in proptest::collection::vec(any::<u8>(), 0..24)) {
        let (keys, aad) = (Keys::new(), PLACE.with_type(ValueType::String));
        for (seal, opening) in keys.all() {
            let text = sealed(seal, &aad, &plaintext);
            let (head, body) = text.rsplit_once('.').unwrap();
            let body = URL_SAFE_NO_PAD.decode(body).unwrap();
            for bit in 0..body.len() * 8 {
                let mut body = body.clone();
                body[bit / 8] ^= 1 << (bit % 8);
                let changed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(&body));
                prop_assert_eq!(
                    open(opening, &aad, &changed).map(|_| ()), Err(CryptoError::Authentication)
                );
            }
        }
    }

    /// As above on the text itself, header included: no two spellings of one envelope.
    #[test]
    fn every_bit_of_the_text_counts(plaintext in proptest::collection::vec(any::<u8>(), 0..24)) {
        let (keys, aad) = (Keys::new(), PLACE.with_type(ValueType::String));
        for (seal, opening) in keys.all() {
            let text = sealed(seal, &aad, &plaintext);
            for bit in 0..text.len() * 8 {
                let mut changed = text.clone().into_bytes();
                changed[bit / 8] ^= 1 << (bit % 8);
                if let Ok(changed) = String::from_utf8(changed) {
                    prop_assert!(open(opening, &aad, &changed).is_err());
                }
            }
        }
    }

    /// No envelope opens under the letter of another algorithm.
    #[test]
    fn every_algorithm_is_bound(plaintext in bytes()) {
        let (keys, aad) = (Keys::new(), PLACE.with_type(ValueType::String));
        for (seal, opening) in keys.all() {
            let text = sealed(seal, &aad, &plaintext);
            for letter in ["a", "s", "d", "t"] {
                let changed = format!("ck1.{letter}{}", &text[5..]);
                for (_, other) in keys.all() {
                    let opened = open(other, &aad, &changed).is_ok();
                    prop_assert!(!opened || changed == text, "{seal:?} as {letter}");
                }
                prop_assert_eq!(open(opening, &aad, &changed).is_ok(), changed == text);
            }
        }
    }
}

/// Each item alone, one at a time, so that a failure names it.
#[test]
fn each_swap_fails() {
    let keys = Keys::new();
    let aad = PLACE.with_type(ValueType::String);
    let swaps: [(&str, AdditionalData<'_>); 6] = [
        ("tenant", AdditionalData { tenant: "acme2", ..aad }),
        ("collection", AdditionalData { collection: "users", ..aad }),
        ("path", AdditionalData { path: "/device_id", ..aad }),
        ("subject", AdditionalData { subject: "user-43", ..aad }),
        ("value type", AdditionalData { value_type: ValueType::Number, ..aad }),
        ("border", AdditionalData { path: "/ipu", subject: "ser-42", ..aad }),
    ];
    let elsewhere = Place { subject: "user-43", ..PLACE };
    for (seal, opening) in keys.all() {
        let text = sealed(seal, &aad, b"203.0.113.7");
        for (name, other) in &swaps {
            assert_eq!(open(opening, other, &text).unwrap_err(), CryptoError::Authentication, "{name}");
        }
        assert_eq!(open_any_type(opening, &elsewhere, &text).unwrap_err(), CryptoError::Authentication);
    }
}
