//! Thirty-two bytes that are wiped and never printed.

use std::fmt;

use zeroize::{Zeroize, Zeroizing};

use crate::{CryptoError, os_random};

/// A 256-bit key.
///
/// It has no `Clone`, no `Serialize` and no `PartialEq`, so that each copy is visible in the code.
/// The bytes live on the heap: moving the key moves a pointer and leaves no copy behind.
pub struct SecretKey(Box<Zeroizing<[u8; 32]>>);

impl SecretKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Draws a key from the operating system.
    ///
    /// # Errors
    /// [`CryptoError::Random`] when the operating system gives no random bytes.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut bytes = Box::new(Zeroizing::new([0; Self::LEN]));
        os_random::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// Takes over a key that exists already, and wipes the array it was passed in.
    ///
    /// An array is copied when it is passed, so wipe the caller's own variable as well.
    #[must_use]
    pub fn from_bytes(mut bytes: [u8; 32]) -> Self {
        let key = Self(Box::new(Zeroizing::new(bytes)));
        bytes.zeroize();
        key
    }

    /// Copies a key out of a slice; `None` if it is not 32 bytes long. Wipe the slice afterwards.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LEN {
            return None;
        }
        let mut key = Box::new(Zeroizing::new([0; Self::LEN]));
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// A zero key to be filled in place by a derivation.
    pub(crate) fn filled_by(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), CryptoError>) -> Result<Self, CryptoError> {
        let mut key = Box::new(Zeroizing::new([0; Self::LEN]));
        fill(&mut key)?;
        Ok(Self(key))
    }

    /// The key bytes. Named so that a reader, or a search, finds every use.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", SecretKey::from_bytes([0xab; 32])), "[secret]");
    }

    #[test]
    fn generated_keys_differ() {
        let (a, b) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_ne!(a.expose(), b.expose());
        assert_ne!(a.expose(), &[0; 32]);
    }
}
