//! The envelope as a whole: the published vector, and everything that must not open.

#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;

use super::seal::seal_with_nonce;
use super::*;
use crate::{CryptoError, DataKey, KeyId, KeyRing, KeyState, RootKey, SecretKey};

const PLACE: Place<'static> = Place { tenant: "acme", collection: "user_logins", path: "/ip", subject: "user-42" };
const NONCE: [u8; 12] = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab];
const GOLDEN: &str = "ck1.a.dsfzvoj2.oKGio6SlpqeoqaqrR1HUQQNd6hPDSnDidVf68tf2nWq-rLlqeZOe";

fn ring() -> KeyRing {
    let secret = SecretKey::from_bytes(std::array::from_fn(|i| i as u8));
    KeyRing::new(vec![RootKey::new(secret, "", KeyState::Active).unwrap()]).unwrap()
}

fn key() -> DataKey {
    ring().data_key("records").unwrap()
}

fn sealed(key: &DataKey, aad: &AdditionalData<'_>, plaintext: &[u8]) -> String {
    let mut out = String::new();
    seal(key, aad, plaintext, &mut out).unwrap();
    out
}

#[test]
fn golden_envelope() {
    let mut out = String::from("before ");
    let aad = PLACE.with_type(ValueType::String);
    seal_with_nonce(&key(), &aad, b"203.0.113.7", NONCE, &mut out).unwrap();
    assert_eq!(out, format!("before {GOLDEN}"));
    assert_eq!(open(&key(), &aad, GOLDEN).unwrap().as_slice(), b"203.0.113.7");
}

#[test]
fn golden_additional_data() {
    let mut out = Vec::new();
    let aad = PLACE.with_type(ValueType::String);
    aad.encode(&KeyId::parse("dsfzvoj2").unwrap(), &mut out).unwrap();
    let expected: &[u8] = b"\x00\x0eck1.a.dsfzvoj2\x00\x04acme\x00\x0buser_logins\
        \x00\x03/ip\x00\x07user-42\x00\x06string";
    assert_eq!(out, expected);
}

#[test]
fn sealing_twice_differs() {
    let (key, aad) = (key(), PLACE.with_type(ValueType::Null));
    assert_ne!(sealed(&key, &aad, b""), sealed(&key, &aad, b""));
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
    assert_eq!(seal(&old, &aad, b"v", &mut String::new()), Err(CryptoError::RetiredKey(kid)));
}

#[test]
fn other_algorithms_say_so() {
    let aad = PLACE.with_type(ValueType::String);
    let mut token = String::new();
    ring().pseudonym_key("d").unwrap().token(b"v", &mut token);
    assert_eq!(open(&key(), &aad, &token).unwrap_err(), CryptoError::Token);
    let siv = GOLDEN.replace("ck1.a.", "ck1.s.");
    assert_eq!(open(&key(), &aad, &siv).unwrap_err(), CryptoError::UnsupportedAlgorithm('s'));
}

/// The key is the same and only the header lies: the header is in the additional data, so even a
/// reader that ignored the key id could not be misled.
#[test]
fn a_swapped_kid_fails_even_with_the_same_key_bytes() {
    let secret = SecretKey::from_bytes([7; 32]);
    let make = |kid| DataKey::from_secret(KeyId::parse(kid).unwrap(), &secret, KeyState::Active).unwrap();
    let (a, b) = (make("aaaaaaaa"), make("bbbbbbbb"));
    let aad = PLACE.with_type(ValueType::String);
    let text = sealed(&a, &aad, b"v");
    assert_eq!(open(&b, &aad, &text.replace("aaaaaaaa", "bbbbbbbb")).unwrap_err(), CryptoError::Authentication);
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
    #[test]
    fn round_trip(
        items in proptest::array::uniform4(".{0,20}"), value_type in value_type(),
        plaintext in bytes(),
    ) {
        let key = key();
        let place = place(&items);
        let aad = place.with_type(value_type);
        let text = sealed(&key, &aad, &plaintext);
        prop_assert!(looks_sealed(&text));
        prop_assert_eq!(parse(&text).unwrap().kid, *key.kid());
        prop_assert_eq!(&*open(&key, &aad, &text).unwrap(), &plaintext);
        let (found, opened) = open_any_type(&key, &place, &text).unwrap();
        prop_assert_eq!((found, &*opened), (value_type, &plaintext));
    }

    /// Any difference in any item, including text that moves from one item to the next.
    #[test]
    fn every_item_is_bound(
        a in proptest::array::uniform4("[ab|]{0,3}"), b in proptest::array::uniform4("[ab|]{0,3}"),
        type_a in value_type(), type_b in value_type(),
    ) {
        let key = key();
        let (here, there) = (place(&a).with_type(type_a), place(&b).with_type(type_b));
        let same = a == b && type_a == type_b;

        let (mut bytes_here, mut bytes_there) = (Vec::new(), Vec::new());
        here.encode(key.kid(), &mut bytes_here).unwrap();
        there.encode(key.kid(), &mut bytes_there).unwrap();
        prop_assert_eq!(bytes_here == bytes_there, same);

        let opened = open(&key, &there, &sealed(&key, &here, b"v")).map(|v| v.to_vec());
        let expected = if same { Ok(b"v".to_vec()) } else { Err(CryptoError::Authentication) };
        prop_assert_eq!(opened, expected);
    }

    #[test]
    fn every_bit_of_the_body_counts(plaintext in proptest::collection::vec(any::<u8>(), 0..24)) {
        let (key, aad) = (key(), PLACE.with_type(ValueType::String));
        let text = sealed(&key, &aad, &plaintext);
        let (head, body) = text.rsplit_once('.').unwrap();
        let body = URL_SAFE_NO_PAD.decode(body).unwrap();
        for bit in 0..body.len() * 8 {
            let mut body = body.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            let changed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(&body));
            prop_assert_eq!(
                open(&key, &aad, &changed).map(|_| ()), Err(CryptoError::Authentication)
            );
        }
    }

    /// As above on the text itself, header included: no two spellings of one envelope.
    #[test]
    fn every_bit_of_the_text_counts(plaintext in proptest::collection::vec(any::<u8>(), 0..24)) {
        let (key, aad) = (key(), PLACE.with_type(ValueType::String));
        let text = sealed(&key, &aad, &plaintext);
        for bit in 0..text.len() * 8 {
            let mut changed = text.clone().into_bytes();
            changed[bit / 8] ^= 1 << (bit % 8);
            if let Ok(changed) = String::from_utf8(changed) {
                prop_assert!(open(&key, &aad, &changed).is_err());
            }
        }
    }
}

/// Each item alone, one at a time, so that a failure names it.
#[test]
fn each_swap_fails() {
    let key = key();
    let aad = PLACE.with_type(ValueType::String);
    let swaps: [(&str, AdditionalData<'_>); 6] = [
        ("tenant", AdditionalData { tenant: "acme2", ..aad }),
        ("collection", AdditionalData { collection: "users", ..aad }),
        ("path", AdditionalData { path: "/device_id", ..aad }),
        ("subject", AdditionalData { subject: "user-43", ..aad }),
        ("value type", AdditionalData { value_type: ValueType::Number, ..aad }),
        ("border", AdditionalData { path: "/ipu", subject: "ser-42", ..aad }),
    ];
    for (name, other) in swaps {
        assert_eq!(open(&key, &other, GOLDEN).unwrap_err(), CryptoError::Authentication, "{name}");
    }
    let elsewhere = Place { subject: "user-43", ..PLACE };
    assert_eq!(open_any_type(&key, &elsewhere, GOLDEN).unwrap_err(), CryptoError::Authentication);
}
