//! The key of somebody who agrees to what others ask for: Ed25519 (RFC 8032), their own, in no key ring.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::audit::{fixed, push_text};
use crate::{AuditPublicKey, CryptoError, SecretKey};

/// What the text of a key begins with: it shall not be taken for another one.
const PREFIX: &str = "cloakroom-approver-key ";

/// Signs agreements.
pub struct ApproverKey(SigningKey);

impl ApproverKey {
    /// A new one.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn generate() -> Result<Self, CryptoError> {
        Ok(Self(SigningKey::from_bytes(SecretKey::generate()?.expose())))
    }

    /// Reads the text of [`ApproverKey::to_text`].
    ///
    /// # Errors
    /// [`CryptoError::ApproverKeyInvalid`].
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let seed = text.trim().strip_prefix(PREFIX).and_then(fixed::<32>).map(Zeroizing::new);
        seed.map(|seed| Self(SigningKey::from_bytes(&seed))).ok_or(CryptoError::ApproverKeyInvalid)
    }

    /// One line with the **secret** key, wiped when it is dropped.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + 44));
        text.push_str(PREFIX);
        push_text(&mut text, self.0.as_bytes());
        text.push('\n');
        text
    }

    /// The key that others check agreements with.
    #[must_use]
    pub fn public_key(&self) -> AuditPublicKey {
        AuditPublicKey::of(&self.0)
    }

    /// Signs a message (Ed25519, deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApproverKey([secret])")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_and_back() {
        let key = ApproverKey::generate().unwrap();
        let again = ApproverKey::parse(&key.to_text()).unwrap();
        let signature = again.sign(b"yes");
        assert!(key.public_key().verify(b"yes", &signature).is_ok());
        assert!(key.public_key().verify(b"no", &signature).is_err());
        assert!(ApproverKey::generate().unwrap().public_key().verify(b"yes", &signature).is_err());
        let text = key.to_text();
        assert!(!format!("{key:?}").contains(&text[PREFIX.len()..text.len() - 1]));
        for bad in ["", &text[1..], &text[..text.len() - 2], PREFIX] {
            assert_eq!(ApproverKey::parse(bad).unwrap_err(), CryptoError::ApproverKeyInvalid);
        }
    }
}
