//! A key that encrypts equal values to equal envelopes.

use std::fmt;

use aes_siv::KeyInit as _;
use aes_siv::siv::Aes256Siv;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{CryptoError, KeyId, KeyState};

/// The 64 bytes of an AES-256-SIV key (RFC 5297): 32 for CMAC, 32 for AES-CTR. `Send` and `Sync`; make one, share it.
///
/// No nonce: the same value in the same place gives the same envelope. That is what it is for, and all that it gives
/// away.
pub struct DeterministicKey {
    kid: KeyId,
    state: KeyState,
    key: Box<Zeroizing<[u8; 64]>>,
}

impl DeterministicKey {
    /// Takes over 64 bytes, for test vectors and keys that another system made, and wipes the array they were passed
    /// in. Keys of our own come from [`KeyRing::deterministic_key`](crate::KeyRing::deterministic_key).
    #[must_use]
    pub fn from_bytes(kid: KeyId, mut bytes: [u8; 64], state: KeyState) -> Self {
        let key = Box::new(Zeroizing::new(bytes));
        bytes.zeroize();
        Self { kid, state, key }
    }

    /// A zero key to be filled in place by a derivation.
    pub(crate) fn filled_by(
        kid: KeyId,
        state: KeyState,
        fill: impl FnOnce(&mut [u8; 64]) -> Result<(), CryptoError>,
    ) -> Result<Self, CryptoError> {
        let mut key = Box::new(Zeroizing::new([0; 64]));
        fill(&mut key)?;
        Ok(Self { kid, state, key })
    }

    /// The key version that goes into the header of envelopes.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Whether the key still seals.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.state
    }

    /// The cipher is used up by a call, and its key schedule is quickly made.
    pub(crate) fn siv(&self) -> Aes256Siv {
        Aes256Siv::new((&**self.key).into())
    }
}

impl fmt::Debug for DeterministicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeterministicKey({}, {:?}, [secret])", self.kid, self.state)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use aes_siv::siv::Aes128Siv;

    fn unhex(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    /// RFC 5297, appendix A.1 and A.2. They have 32-byte keys (AES-128 in both halves): the same code with another
    /// AES; that our 64 bytes go where they should is what the golden envelope checks.
    #[test]
    fn rfc5297() {
        let siv = |key: &str, headers: &[&str], text: &str| {
            let mut cipher = Aes128Siv::new_from_slice(&unhex(key)).unwrap();
            let headers: Vec<_> = headers.iter().map(|header| unhex(header)).collect();
            cipher.encrypt(&headers, &unhex(text)).unwrap()
        };
        assert_eq!(
            siv(
                "fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                &["101112131415161718191a1b1c1d1e1f2021222324252627"],
                "112233445566778899aabbccddee",
            ),
            unhex("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
        );
        assert_eq!(
            siv(
                "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f",
                &[
                    "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100",
                    "102030405060708090a0",
                    "09f911029d74e35bd84156c5635688c0",
                ],
                "7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553",
            ),
            unhex(
                "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17\
                 dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
            )
        );
    }

    #[test]
    fn can_be_shared_and_prints_no_key() {
        fn shared<T: Send + Sync>(_: &T) {}
        let key = DeterministicKey::from_bytes(KeyId::parse("aaaaaaaa").unwrap(), [1; 64], KeyState::Active);
        shared(&key);
        assert_eq!(format!("{key:?}"), "DeterministicKey(aaaaaaaa, Active, [secret])");
    }
}
