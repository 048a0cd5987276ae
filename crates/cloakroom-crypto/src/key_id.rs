//! The public name of one key version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{CryptoError, SecretKey};

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Names one version of a key: eight characters of lower-case base32 (RFC 4648, no padding).
///
/// It is the first five bytes of SHA-256(`"ck1/kid"` ‖ root key), so it also serves as the key
/// check value: the right name with the wrong bytes cannot be loaded by mistake. It says nothing
/// useful about the key and may be printed, stored and logged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Length in characters.
    pub const LEN: usize = 8;

    /// The name of `key`.
    #[must_use]
    pub fn of(key: &SecretKey) -> Self {
        let hash = Sha256::new().chain_update(b"ck1/kid").chain_update(key.expose()).finalize();
        // Forty bits are eight groups of five, taken from the top.
        let bits = hash[..5].iter().fold(0u64, |bits, &b| bits << 8 | u64::from(b));
        let mut text = [0; Self::LEN];
        for (i, c) in text.iter_mut().enumerate() {
            *c = ALPHABET[(bits >> (35 - 5 * i)) as usize & 31];
        }
        Self(text)
    }

    /// Reads a name.
    ///
    /// # Errors
    /// [`CryptoError::KeyIdInvalid`] unless the text is exactly eight characters of `a-z2-7`.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        match <[u8; Self::LEN]>::try_from(text.as_bytes()) {
            Ok(bytes) if bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7')) => Ok(Self(bytes)),
            _ => Err(CryptoError::KeyIdInvalid),
        }
    }

    /// The eight characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Both constructors write ASCII only, so the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for KeyId {
    type Error = CryptoError;

    fn try_from(text: String) -> Result<Self, CryptoError> {
        Self::parse(&text)
    }
}

impl From<KeyId> for String {
    fn from(kid: KeyId) -> Self {
        kid.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn golden() {
        let key = SecretKey::from_bytes(std::array::from_fn(|i| i as u8));
        assert_eq!(KeyId::of(&key).as_str(), "dsfzvoj2");
    }

    #[test]
    fn parses_only_eight_lower_case_characters() {
        let kid = KeyId::parse("abcd2345").unwrap();
        assert_eq!(kid.to_string(), "abcd2345");
        assert_eq!("abcd2345".parse(), Ok(kid));
        for bad in ["", "abcd234", "abcd23456", "ABCD2345", "abcd2341", "abcd 345", "abcdé34"] {
            assert_eq!(KeyId::parse(bad), Err(CryptoError::KeyIdInvalid), "{bad:?}");
        }
    }
}
