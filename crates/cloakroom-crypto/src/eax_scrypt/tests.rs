#![allow(clippy::unwrap_used)]

use aes::Aes256;
use eax::aead::AeadInOut as _;
use eax::{Eax, KeyInit as _};

use super::*;

/// Project Wycheproof, `testvectors_v1/aes_eax_test.json`, the valid tests 158 (nothing at all) and 163 (one block, with
/// associated data) of the groups with keys of 256 bits.
#[test]
fn eax_vectors() {
    let key =
        [0xb4cd11db0b3e0b9b34eafd9fe0277469u128, 0x76379155e76116afde1b96d21298e34f].map(u128::to_be_bytes).concat();
    let cipher = Eax::<Aes256>::new_from_slice(&key).unwrap();
    let nonce = 0x00c49f4ebb07393f07ebc3825f7b0830u128.to_be_bytes();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), b"", [].as_mut_slice().into()).unwrap();
    assert_eq!(u128::from_be_bytes(tag.into()), 0x80d821cde2d6c523b718597b11dd0fa8);

    let key =
        [0x9f5c60fb5df5cf2b1b39254c3fa80e51u128, 0xd30d64e344b3aba59574305b4d2212ad].map(u128::to_be_bytes).concat();
    let cipher = Eax::<Aes256>::new_from_slice(&key).unwrap();
    let nonce = 0xd4df79c69f73b26a13598af07eed6a77u128.to_be_bytes();
    let aad = &0x813399ff1e1ef0b58bb2be130ce5d4u128.to_be_bytes()[1..];
    let mut text = 0xa3ca2ef9bd1fdbaa83db4c7eae6de94eu128.to_be_bytes();
    let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, text.as_mut_slice().into()).unwrap();
    assert_eq!(u128::from_be_bytes(text), 0x65019212ccbbd4cd2f995cc59d46fd27);
    assert_eq!(u128::from_be_bytes(tag.into()), 0x4026c486430a1ae2a5fc4081cd665468);
}

fn derive(master: &str, name: &str, salt: &[u8; SALT_LEN]) -> KeyEncryptionKey {
    let master = MasterKey::new(master).unwrap();
    KeyDeriver::new().derive(&master, &[Person { name, salt }]).pop().unwrap()
}

#[test]
fn what_is_sealed_opens_and_nothing_else_does() {
    let (salt, key) = (DocumentKey::salt().unwrap(), DocumentKey::generate().unwrap());
    let wrapped = derive("master", "ada", &salt).wrap_key(&key, &salt).unwrap();
    let opened = derive("master", "ada", wrapped.salt()).unwrap_key(&wrapped).unwrap();
    let sealed = key.seal(b"4111").unwrap();
    assert_eq!(sealed.ciphertext.len(), 4);
    assert_eq!(opened.open("cc", &sealed).unwrap().as_slice(), b"4111");
    assert_eq!(key.open("cc", &key.seal(b"").unwrap()).unwrap().as_slice(), b"");

    let wrong =
        [derive("mastes", "ada", &salt), derive("master", "adb", &salt), derive("master", "ada", &[0; SALT_LEN])];
    assert!(wrong.iter().all(|kek| kek.unwrap_key(&wrapped).err() == Some(DocumentError::WrongKey)));
    for bit in 0..8 * (4 + 16 + 16) {
        let mut changed = sealed.clone();
        let flip = |bytes: &mut [u8], bit: usize| bytes[bit / 8] ^= 1 << (bit % 8);
        match bit {
            0..32 => flip(&mut changed.ciphertext, bit),
            32..160 => flip(&mut changed.tag, bit - 32),
            _ => flip(&mut changed.nonce, bit - 160),
        }
        assert_eq!(key.open("cc", &changed).err(), Some(DocumentError::FieldChanged("cc".into())));
    }
    assert_eq!(
        DocumentKey::generate().unwrap().open("cc", &sealed).err(),
        Some(DocumentError::FieldChanged("cc".into()))
    );
}

/// The construction has no separator: part of the name may as well be part of the key. Known, and the same there.
#[test]
fn nothing_separates_name_and_master_key() {
    let (salt, key) = ([1; SALT_LEN], DocumentKey::generate().unwrap());
    let wrapped = derive("cKEY", "ab", &salt).wrap_key(&key, &salt).unwrap();
    assert!(derive("KEY", "abc", &salt).unwrap_key(&wrapped).is_ok());
}

#[test]
fn base64_is_read_as_python_reads_it_where_it_matters() {
    let tag = "AAECAwQFBgcICQoLDA0ODw==";
    let read = |text: &str| Sealed::from_base64(("cc", text), ("cc_tag", tag), ("cc_nonce", tag));
    for text in ["NDExMQ==", "ND Ex\r\nMQ=\t=\n", " NDExMQ=="] {
        assert_eq!(read(text).unwrap_or_else(|error| unreachable!("{error}")).ciphertext, b"4111");
    }
    // No padding, another alphabet, what Python would pass over, bits behind the end.
    for text in ["NDExMQ", "NDExMQ=", "_-==", "ND*ExMQ==", "NDExMR==", "NDExMQ==NDEx"] {
        assert_eq!(read(text).err(), Some(DocumentError::NotBase64("cc".into())), "{text}");
    }
    let short = Sealed::from_base64(("cc", ""), ("cc_tag", "AAEC"), ("cc_nonce", tag));
    assert_eq!(short.err(), Some(DocumentError::WrongLength { name: "cc_tag".into(), expected: 16 }));
    let key = WrappedKey::from_base64(("dek", tag), ("dek_tag", tag), ("dek_nonce", tag), ("kek_salt", tag));
    assert_eq!(key.err(), Some(DocumentError::WrongLength { name: "dek".into(), expected: 32 }));
    assert_eq!(read("NDExMQ==").map(|sealed| sealed.to_base64()[0].clone()).ok().as_deref(), Some("NDExMQ=="));
}

#[test]
fn an_empty_master_key_is_refused_and_none_prints() {
    assert_eq!(MasterKey::new("").err(), Some(DocumentError::EmptyMasterKey));
    assert_eq!(format!("{:?}", MasterKey::new("s3cret").ok()), "Some([secret])");
}
