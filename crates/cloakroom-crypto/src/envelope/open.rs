//! Opening an envelope.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::key::overhead;
use super::padding::unpadded_len;
use super::parse::split;
use super::{AdditionalData, Algorithm, OpeningKey, Place, ValueType};
use crate::CryptoError;

/// Opens an envelope that was sealed with the same key and additional data, padded or not. The plaintext is
/// wiped when it is dropped.
///
/// # Errors
/// [`CryptoError::NotAnEnvelope`], [`CryptoError::Token`] for text that nothing here opens,
/// [`CryptoError::OtherAlgorithm`] and [`CryptoError::OtherKey`] if the header asks for another key,
/// [`CryptoError::AdditionalDataTooLong`], and [`CryptoError::Authentication`] if the envelope was changed or belongs
/// elsewhere.
pub fn open<'k>(
    key: impl Into<OpeningKey<'k>>,
    aad: &AdditionalData<'_>,
    envelope: &str,
) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    Opener::new(key.into(), envelope)?.open(aad)?.ok_or(CryptoError::Authentication)
}

/// Opens an envelope whose value type is not known, by trying each. The type found is as
/// trustworthy as the value: the tag covers both.
///
/// # Errors
/// As [`open`].
pub fn open_any_type<'k>(
    key: impl Into<OpeningKey<'k>>,
    place: &Place<'_>,
    envelope: &str,
) -> Result<(ValueType, Zeroizing<Vec<u8>>), CryptoError> {
    let mut opener = Opener::new(key.into(), envelope)?;
    for value_type in ValueType::ALL {
        if let Some(plaintext) = opener.open(&place.with_type(value_type))? {
            return Ok((value_type, plaintext));
        }
    }
    Err(CryptoError::Authentication)
}

/// A decoded envelope with its key, to be tried against one or more places.
struct Opener<'k> {
    key: OpeningKey<'k>,
    alg: Algorithm,
    body: Vec<u8>,
    aad: Vec<u8>,
}

impl<'k> Opener<'k> {
    fn new(key: OpeningKey<'k>, envelope: &str) -> Result<Self, CryptoError> {
        let parts = split(envelope)?;
        key.opens(parts.alg)?;
        // Without this check a wrong key would look like tampering.
        if parts.kid != *key.kid() {
            return Err(CryptoError::OtherKey(parts.kid));
        }
        // Strict: this engine refuses padding and spare bits that are not zero, as `parse` does.
        let body = URL_SAFE_NO_PAD.decode(parts.body).map_err(|_| CryptoError::NotAnEnvelope)?;
        Ok(Self { key, alg: parts.alg, body, aad: Vec::new() })
    }

    /// `None` when the tag does not verify.
    fn open(&mut self, aad: &AdditionalData<'_>) -> Result<Option<Zeroizing<Vec<u8>>>, CryptoError> {
        if let Some(plaintext) = self.attempt(aad, false)? {
            return Ok(Some(plaintext));
        }
        let Some(mut padded) = self.attempt(aad, true)? else { return Ok(None) };
        // Only who has the key can have sealed a padded value without its padding.
        let len = unpadded_len(&padded).ok_or(CryptoError::Authentication)?;
        padded.truncate(len);
        Ok(Some(padded))
    }

    fn attempt(&mut self, aad: &AdditionalData<'_>, padded: bool) -> Result<Option<Zeroizing<Vec<u8>>>, CryptoError> {
        let len = self.body.len().checked_sub(overhead(self.alg)).ok_or(CryptoError::NotAnEnvelope)?;
        // What was padded is a multiple of 16 bytes, and not empty.
        if padded && (len == 0 || len % 16 != 0) {
            return Ok(None);
        }
        self.aad.clear();
        aad.encode(self.alg, self.key.kid(), padded, &mut self.aad)?;
        // Into a buffer of its own: the ciphertext must survive for the next attempt, and on
        // failure nothing unauthenticated may leave this function.
        let mut plaintext = Zeroizing::new(vec![0; len]);
        let opened = self.key.decrypt(self.alg, &self.aad, &self.body, &mut plaintext)?;
        Ok(opened.then_some(plaintext))
    }
}
