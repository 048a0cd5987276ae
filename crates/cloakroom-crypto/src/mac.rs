//! Keyed hashes: HMAC-SHA-256 (RFC 2104, FIPS 198-1).

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::text::{push_ascii, push_base64url};
use crate::{CryptoError, KeyId};

/// Turns a value into a pseudonym: the same value and key give the same tag, and without the key
/// nobody can compute or check one.
///
/// The two key pads are absorbed once, when the key is made. A call copies that state, so a short
/// value (up to 55 bytes) costs two SHA-256 compressions instead of four.
pub struct PseudonymKey {
    kid: KeyId,
    state: Hmac<Sha256>,
}

impl PseudonymKey {
    /// Length of a tag in bytes.
    pub const TAG_LEN: usize = 32;

    /// Wraps a raw HMAC key of any length, for test vectors and for keys that another system made.
    /// Keys of our own come from [`KeyRing::pseudonym_key`](crate::KeyRing::pseudonym_key).
    ///
    /// # Errors
    /// [`CryptoError::Internal`] if the HMAC implementation refuses the key; it takes any length.
    pub fn from_raw(kid: KeyId, key: &[u8]) -> Result<Self, CryptoError> {
        let state = Hmac::new_from_slice(key).map_err(|_| CryptoError::Internal)?;
        Ok(Self { kid, state })
    }

    /// The key version that tags are made with.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The HMAC of `data`.
    #[must_use]
    pub fn tag(&self, data: &[u8]) -> [u8; 32] {
        let mut mac = self.state.clone();
        mac.update(data);
        mac.finalize().into_bytes().into()
    }

    /// The HMAC of several parts, each preceded by its length in bytes as a 64-bit big-endian
    /// number, so that `ab|c` and `a|bc` differ. One part is *not* the same as [`Self::tag`].
    #[must_use]
    pub fn tag_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.state.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Appends the first `bits` of the tag as base64url without padding: a blind index, by which equal values are found
    /// without being read. Bits that fill the last byte are zero.
    ///
    /// Among n values, about n²/2^(`bits`+1) pairs share an index by chance: whoever searches opens what is found and
    /// compares. Fewer bits make an index say less, more make it exact.
    ///
    /// # Errors
    /// [`CryptoError::IndexBits`] unless `bits` is 32 to 256.
    pub fn index(&self, value: &[u8], bits: u16, out: &mut String) -> Result<(), CryptoError> {
        if !(32..=256).contains(&bits) {
            return Err(CryptoError::IndexBits);
        }
        let mut tag = self.tag(value);
        let tag = &mut tag[..usize::from(bits).div_ceil(8)];
        if let (Some(last), spare @ 1..) = (tag.last_mut(), (8 - bits % 8) % 8) {
            *last &= 0xff << spare;
        }
        push_base64url(out, tag);
        Ok(())
    }

    /// Appends `ck1.t.<kid>.<base64url of the tag, without padding>`, 58 characters.
    pub fn token(&self, value: &[u8], out: &mut String) {
        out.reserve(58);
        out.push_str("ck1.t.");
        push_ascii(out, self.kid.as_bytes());
        out.push('.');
        push_base64url(out, &self.tag(value));
    }
}

/// Compares two MACs in a time that does not depend on where they differ.
#[must_use]
pub fn same_mac(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    // `black_box` keeps the compiler from turning the fold into an early exit.
    std::hint::black_box(difference) == 0
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PseudonymKey({}, [secret])", self.kid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::text::push_hex;
    use proptest::prelude::*;

    fn key(bytes: &[u8]) -> PseudonymKey {
        PseudonymKey::from_raw(KeyId::parse("aaaaaaaa").unwrap(), bytes).unwrap()
    }

    fn hex(tag: [u8; 32]) -> String {
        let mut out = String::new();
        push_hex(&mut out, &tag);
        out
    }

    /// RFC 4231, test cases 1 to 4, 6 and 7 (case 5 is truncated).
    #[test]
    fn rfc4231() {
        let ascending: Vec<u8> = (1..=25).collect();
        let cases: [(&[u8], &[u8], &str); 6] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
            (&ascending, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
            (
                &[0xaa; 131],
                b"This is a test using a larger than block-size key and a larger than block-size \
                  data. The key needs to be hashed before being used by the HMAC algorithm.",
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            ),
        ];
        for (k, data, expected) in cases {
            assert_eq!(hex(key(k).tag(data)), expected);
        }
    }

    #[test]
    fn parts_keep_their_borders() {
        let key = key(b"k");
        assert_ne!(key.tag_parts(&[b"ab", b"c"]), key.tag_parts(&[b"a", b"bc"]));
        assert_ne!(key.tag_parts(&[b"abc"]), key.tag(b"abc"));
        assert_ne!(key.tag_parts(&[]), key.tag_parts(&[b""]));
    }

    #[test]
    fn an_index_is_the_beginning_of_the_tag() {
        let key = key(b"Jefe");
        let index = |bits| {
            let mut out = String::new();
            key.index(b"what do ya want for nothing?", bits, &mut out).map(|()| out)
        };
        let base64 = |bytes: &[u8]| {
            let mut out = String::new();
            push_base64url(&mut out, bytes);
            Ok(out)
        };
        assert_eq!(index(32), base64(&[0x5b, 0xdc, 0xc1, 0x46]));
        assert_eq!(index(33), base64(&[0x5b, 0xdc, 0xc1, 0x46, 0x80]));
        assert_eq!(index(39), base64(&[0x5b, 0xdc, 0xc1, 0x46, 0xbe]));
        assert_eq!(index(256), base64(&key.tag(b"what do ya want for nothing?")));
        for bits in [0, 31, 257] {
            assert_eq!(index(bits), Err(CryptoError::IndexBits));
        }
    }

    #[test]
    fn debug_shows_the_kid_only() {
        assert_eq!(format!("{:?}", key(b"k")), "PseudonymKey(aaaaaaaa, [secret])");
    }

    proptest! {
        #[test]
        fn the_state_is_not_used_up(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let key = key(b"k");
            prop_assert_eq!(key.tag(&data), key.tag(&data));
            let mut token = String::from("=");
            key.token(&data, &mut token);
            prop_assert_eq!(token.len(), 1 + 58);
            prop_assert!(crate::envelope::parse(&token[1..]).is_ok());
        }
    }
}
