//! Opening an envelope.

use aes_gcm::Nonce;
use aes_gcm::aead::AeadInOut as _;
use aes_gcm::aead::inout::InOutBuf;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::parse::split;
use super::{AdditionalData, Algorithm, NONCE_LEN, Place, TAG_LEN, ValueType};
use crate::{CryptoError, DataKey};

/// Opens an envelope that was sealed with the same key and additional data. The plaintext is
/// wiped when it is dropped.
///
/// # Errors
/// [`CryptoError::NotAnEnvelope`], [`CryptoError::Token`] and
/// [`CryptoError::UnsupportedAlgorithm`] for text that nothing here opens,
/// [`CryptoError::OtherKey`] if the header names another key, [`CryptoError::AdditionalDataTooLong`],
/// and [`CryptoError::Authentication`] if the envelope was changed or belongs elsewhere.
pub fn open(key: &DataKey, aad: &AdditionalData<'_>, envelope: &str) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    Opener::new(key, envelope)?.open(aad)?.ok_or(CryptoError::Authentication)
}

/// Opens an envelope whose value type is not known, by trying each. The type found is as
/// trustworthy as the value: the tag covers both.
///
/// # Errors
/// As [`open`].
pub fn open_any_type(
    key: &DataKey,
    place: &Place<'_>,
    envelope: &str,
) -> Result<(ValueType, Zeroizing<Vec<u8>>), CryptoError> {
    let mut opener = Opener::new(key, envelope)?;
    for value_type in ValueType::ALL {
        if let Some(plaintext) = opener.open(&place.with_type(value_type))? {
            return Ok((value_type, plaintext));
        }
    }
    Err(CryptoError::Authentication)
}

/// A decoded envelope with its key, to be tried against one or more places.
struct Opener<'k> {
    key: &'k DataKey,
    /// nonce ‖ ciphertext ‖ tag
    body: Vec<u8>,
    aad: Vec<u8>,
}

impl<'k> Opener<'k> {
    fn new(key: &'k DataKey, envelope: &str) -> Result<Self, CryptoError> {
        let parts = split(envelope)?;
        match parts.alg {
            Algorithm::AesGcm => {}
            Algorithm::Token => return Err(CryptoError::Token),
            other => return Err(CryptoError::UnsupportedAlgorithm(other.letter())),
        }
        // Without this check a wrong key would look like tampering.
        if parts.kid != *key.kid() {
            return Err(CryptoError::OtherKey(parts.kid));
        }
        // Strict: this engine refuses padding and spare bits that are not zero, as `parse` does.
        let body = URL_SAFE_NO_PAD.decode(parts.body).map_err(|_| CryptoError::NotAnEnvelope)?;
        Ok(Self { key, body, aad: Vec::new() })
    }

    /// `None` when the tag does not verify.
    fn open(&mut self, aad: &AdditionalData<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, CryptoError> {
        self.aad.clear();
        aad.encode(self.key.kid(), &mut self.aad)?;

        let (nonce, rest) = self.body.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::NotAnEnvelope)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::NotAnEnvelope)?;

        // Into a buffer of its own: the ciphertext must survive for the next attempt, and on
        // failure nothing unauthenticated may leave this function.
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
        let buffer = InOutBuf::new(ciphertext, &mut plaintext).map_err(|_| CryptoError::Authentication)?;
        let opened = self.key.opener().decrypt_inout_detached(&Nonce::from(*nonce), &self.aad, buffer, &(*tag).into());
        Ok(opened.ok().map(|()| plaintext))
    }
}
