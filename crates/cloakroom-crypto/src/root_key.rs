//! One root key with its name, age and state.

use serde::{Deserialize, Serialize};

use crate::{CryptoError, KeyId, SecretKey};

/// What a root key may still do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Seals and opens. A key ring has exactly one.
    Active,
    /// Opens what it sealed before, and seals nothing new.
    Retired,
}

/// A root key. Keys for data are derived from it; it never touches data itself.
#[derive(Debug)]
pub struct RootKey {
    kid: KeyId,
    secret: SecretKey,
    created: String,
    state: KeyState,
}

impl RootKey {
    /// Wraps a key; its id is computed from the bytes, so the two always agree.
    ///
    /// `created` is an RFC 3339 time given by the caller (this crate reads no clock), or empty when
    /// nobody knows it.
    ///
    /// # Errors
    /// [`CryptoError::CreatedInvalid`] if `created` holds characters that no such time has. It goes
    /// to terminals and reports, so it must not carry anything else. The date is not checked.
    pub fn new(secret: SecretKey, created: impl Into<String>, state: KeyState) -> Result<Self, CryptoError> {
        let created = created.into();
        let allowed = |b: u8| b.is_ascii_digit() || b"-+:.TtZz".contains(&b);
        if created.len() > 40 || !created.bytes().all(allowed) {
            return Err(CryptoError::CreatedInvalid);
        }
        Ok(Self { kid: KeyId::of(&secret), secret, created, state })
    }

    /// Makes a new active key from random bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`], and [`CryptoError::CreatedInvalid`] as in [`Self::new`].
    pub fn generate(created: impl Into<String>) -> Result<Self, CryptoError> {
        Self::new(SecretKey::generate()?, created, KeyState::Active)
    }

    /// The name of this key version.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// When the key was made (RFC 3339), or empty.
    #[must_use]
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Whether it still seals.
    #[must_use]
    pub fn state(&self) -> KeyState {
        self.state
    }

    pub(crate) fn secret(&self) -> &SecretKey {
        &self.secret
    }

    pub(crate) fn retired(self) -> Self {
        Self { state: KeyState::Retired, ..self }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn created_is_a_time_or_empty() {
        let make = |t: &str| RootKey::new(SecretKey::from_bytes([1; 32]), t, KeyState::Active);
        assert!(make("").is_ok());
        assert!(make("2026-01-31T12:00:00.5+01:00").is_ok());
        assert_eq!(make("\u{1b}[2J").unwrap_err(), CryptoError::CreatedInvalid);
    }

    #[test]
    fn debug_hides_the_key() {
        let key = RootKey::new(SecretKey::from_bytes([0xab; 32]), "", KeyState::Active).unwrap();
        let text = format!("{key:?}");
        assert!(text.contains("[secret]") && !text.contains("171"), "{text}");
    }
}
