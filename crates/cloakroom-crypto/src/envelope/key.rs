//! Which key seals and opens by which algorithm.

use aes_gcm::Nonce;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aead::inout::InOutBuf;

use super::{Algorithm, NONCE_LEN, TAG_LEN};
use crate::{CryptoError, DataKey, DeterministicKey, KeyId, KeyState};

/// A key that seals, with the algorithm it is used for. A [`DataKey`] alone means AES-256-GCM.
#[derive(Debug, Clone, Copy)]
pub enum SealingKey<'k> {
    /// `a`: AES-256-GCM.
    AesGcm(&'k DataKey),
    /// `s`: AES-256-GCM-SIV, for where random nonces cannot be trusted or one key seals very many values.
    AesGcmSiv(&'k DataKey),
    /// `d`: AES-256-SIV, deterministic.
    AesSiv(&'k DeterministicKey),
}

/// A key that opens. A [`DataKey`] opens `a` and `s`.
#[derive(Debug, Clone, Copy)]
pub enum OpeningKey<'k> {
    /// For `a` and `s`.
    Data(&'k DataKey),
    /// For `d`.
    Deterministic(&'k DeterministicKey),
}

impl<'k> From<&'k DataKey> for SealingKey<'k> {
    fn from(key: &'k DataKey) -> Self {
        Self::AesGcm(key)
    }
}

impl<'k> From<&'k DeterministicKey> for SealingKey<'k> {
    fn from(key: &'k DeterministicKey) -> Self {
        Self::AesSiv(key)
    }
}

impl<'k> From<&'k DataKey> for OpeningKey<'k> {
    fn from(key: &'k DataKey) -> Self {
        Self::Data(key)
    }
}

impl<'k> From<&'k DeterministicKey> for OpeningKey<'k> {
    fn from(key: &'k DeterministicKey) -> Self {
        Self::Deterministic(key)
    }
}

impl SealingKey<'_> {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::AesGcm(_) => Algorithm::AesGcm,
            Self::AesGcmSiv(_) => Algorithm::AesGcmSiv,
            Self::AesSiv(_) => Algorithm::AesSiv,
        }
    }

    /// The key's id, if it may seal.
    pub(super) fn active_kid(&self) -> Result<&KeyId, CryptoError> {
        let (kid, state) = match self {
            Self::AesGcm(key) | Self::AesGcmSiv(key) => (key.kid(), key.state()),
            Self::AesSiv(key) => (key.kid(), key.state()),
        };
        match state {
            KeyState::Active => Ok(kid),
            KeyState::Retired => Err(CryptoError::RetiredKey(*kid)),
        }
    }

    /// Encrypts in place and gives the tag. Only the algorithms with a nonce look at it.
    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LEN], CryptoError> {
        let nonce = Nonce::from(*nonce);
        let tag = match self {
            Self::AesGcm(key) => key.gcm().encrypt_inout_detached(&nonce, aad, text.into()),
            Self::AesGcmSiv(key) => key.gcm_siv().encrypt_inout_detached(&nonce, aad, text.into()),
            Self::AesSiv(key) => key.siv().encrypt_inout_detached([aad], text.into()),
        };
        tag.map(<[u8; TAG_LEN]>::from).map_err(|_| CryptoError::PlaintextTooLong)
    }
}

impl OpeningKey<'_> {
    pub(super) fn kid(&self) -> &KeyId {
        match self {
            Self::Data(key) => key.kid(),
            Self::Deterministic(key) => key.kid(),
        }
    }

    /// Whether this kind of key belongs to an algorithm.
    pub(super) fn opens(&self, alg: Algorithm) -> Result<(), CryptoError> {
        match (self, alg) {
            (_, Algorithm::Token) => Err(CryptoError::Token),
            (Self::Data(_), Algorithm::AesGcm | Algorithm::AesGcmSiv) | (Self::Deterministic(_), Algorithm::AesSiv) => {
                Ok(())
            }
            (_, other) => Err(CryptoError::OtherAlgorithm(other.letter())),
        }
    }

    /// Decrypts `body` into `plaintext`, which has the length that the body has without [`overhead`]; false when the tag does not
    /// verify.
    pub(super) fn decrypt(
        &self,
        alg: Algorithm,
        aad: &[u8],
        body: &[u8],
        plaintext: &mut [u8],
    ) -> Result<bool, CryptoError> {
        let opened = match self {
            Self::Data(key) => {
                let (nonce, rest) = body.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::NotAnEnvelope)?;
                let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::NotAnEnvelope)?;
                let buffer = InOutBuf::new(ciphertext, plaintext).map_err(|_| CryptoError::Internal)?;
                let (nonce, tag) = (Nonce::from(*nonce), (*tag).into());
                match alg {
                    Algorithm::AesGcmSiv => key.gcm_siv().decrypt_inout_detached(&nonce, aad, buffer, &tag),
                    _ => key.gcm().decrypt_inout_detached(&nonce, aad, buffer, &tag),
                }
            }
            Self::Deterministic(key) => {
                let (tag, ciphertext) = body.split_first_chunk::<TAG_LEN>().ok_or(CryptoError::NotAnEnvelope)?;
                let buffer = InOutBuf::new(ciphertext, plaintext).map_err(|_| CryptoError::Internal)?;
                key.siv().decrypt_inout_detached([aad], buffer, &(*tag).into())
            }
        };
        Ok(opened.is_ok())
    }
}

/// The bytes around the ciphertext.
pub(super) fn overhead(alg: Algorithm) -> usize {
    match alg {
        Algorithm::AesSiv => TAG_LEN,
        _ => NONCE_LEN + TAG_LEN,
    }
}
