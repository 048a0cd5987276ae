//! Keys that wrap keys: the levels between the root and the data key of a person.

use std::fmt;

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use crate::{CryptoError, KeyId, SecretKey, os_random};

/// Seals keys and nothing else, by AES-256-GCM with random nonces (NIST SP 800-38D).
///
/// A wrapped key is bound to where it stands by a list of parts: which shard, whose key. At most 2^32 keys are wrapped under one
/// (SP 800-38D, 8.3); a shard's key wraps some hundreds before it is replaced.
pub struct WrappingKey {
    kid: KeyId,
    cipher: Aes256Gcm,
}

/// Nonce, wrapped key, tag.
pub type WrappedKey = [u8; WRAPPED_LEN];
/// Bytes of a wrapped key.
pub const WRAPPED_LEN: usize = NONCE + SecretKey::LEN + TAG;

const NONCE: usize = 12;
const TAG: usize = 16;

impl WrappingKey {
    /// Prepares a key for wrapping.
    ///
    /// # Errors
    /// [`CryptoError::Internal`], which does not happen with 32 bytes.
    pub fn from_secret(secret: &SecretKey) -> Result<Self, CryptoError> {
        let cipher = Aes256Gcm::new_from_slice(secret.expose()).map_err(|_| CryptoError::Internal)?;
        Ok(Self { kid: KeyId::of(secret), cipher })
    }

    /// The version of this key.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Wraps a key.
    ///
    /// # Errors
    /// [`CryptoError::Random`] when no nonce can be drawn.
    pub fn wrap(&self, key: &SecretKey, place: &[&[u8]]) -> Result<WrappedKey, CryptoError> {
        let mut wrapped = [0; WRAPPED_LEN];
        let (nonce, rest) = wrapped.split_at_mut(NONCE);
        os_random::fill(nonce)?;
        let (body, tag) = rest.split_at_mut(SecretKey::LEN);
        body.copy_from_slice(key.expose());
        let nonce: &[u8; NONCE] = (&*nonce).try_into().map_err(|_| CryptoError::Internal)?;
        let made = self.cipher.encrypt_inout_detached(nonce.into(), &encode(place), body.into());
        tag.copy_from_slice(&made.map_err(|_| CryptoError::Internal)?);
        Ok(wrapped)
    }

    /// Opens a wrapped key.
    ///
    /// # Errors
    /// [`CryptoError::Wrapped`] when it was wrapped under another key or for another place, or was changed.
    pub fn unwrap(&self, wrapped: &WrappedKey, place: &[&[u8]]) -> Result<SecretKey, CryptoError> {
        let (nonce, rest) = wrapped.split_at(NONCE);
        let (body, tag) = rest.split_at(SecretKey::LEN);
        let nonce: &[u8; NONCE] = nonce.try_into().map_err(|_| CryptoError::Internal)?;
        let tag: &[u8; TAG] = tag.try_into().map_err(|_| CryptoError::Internal)?;
        let mut key = Zeroizing::new([0; SecretKey::LEN]);
        key.copy_from_slice(body);
        let opened =
            self.cipher.decrypt_inout_detached(nonce.into(), &encode(place), key.as_mut_slice().into(), tag.into());
        opened.map_err(|_| CryptoError::Wrapped)?;
        SecretKey::from_slice(key.as_slice()).ok_or(CryptoError::Internal)
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey({}, [secret])", self.kid)
    }
}

/// The parts with their lengths, so that `ab`, `c` is not `a`, `bc`.
fn encode(place: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(b"ck1/wrapped");
    for part in place {
        out.extend_from_slice(&(part.len() as u64).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn opens_only_in_its_place_and_unchanged() {
        let key = |byte| SecretKey::from_bytes([byte; 32]);
        let wrapping = WrappingKey::from_secret(&key(1)).unwrap();
        let wrapped = wrapping.wrap(&key(2), &[b"shard", b"7"]).unwrap();
        assert_eq!(wrapping.unwrap(&wrapped, &[b"shard", b"7"]).unwrap().expose(), &[2; 32]);
        assert_ne!(wrapped, wrapping.wrap(&key(2), &[b"shard", b"7"]).unwrap(), "a fresh nonce each time");
        for place in [&[b"shard".as_slice(), b"8"] as &[&[u8]], &[b"shar", b"d7"], &[b"shard"], &[]] {
            assert_eq!(wrapping.unwrap(&wrapped, place).unwrap_err(), CryptoError::Wrapped);
        }
        let other = WrappingKey::from_secret(&key(3)).unwrap();
        assert_eq!(other.unwrap(&wrapped, &[b"shard", b"7"]).unwrap_err(), CryptoError::Wrapped);
        for bit in 0..8 * WRAPPED_LEN {
            let mut changed = wrapped;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(wrapping.unwrap(&changed, &[b"shard", b"7"]).unwrap_err(), CryptoError::Wrapped);
        }
        assert!(!format!("{wrapping:?}").contains("1, 1"));
    }
}
