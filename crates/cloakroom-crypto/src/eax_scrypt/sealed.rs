//! A ciphertext with its companions, and their text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{DocumentError, NONCE_LEN, SALT_LEN, TAG_LEN};

/// A ciphertext, its tag and its nonce.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// As long as the plaintext.
    pub ciphertext: Vec<u8>,
    /// EAX's tag.
    pub tag: [u8; TAG_LEN],
    /// EAX's nonce.
    pub nonce: [u8; NONCE_LEN],
}

impl Sealed {
    /// Reads the three members, given as their name and text: ciphertext, tag, nonce.
    ///
    /// # Errors
    /// [`DocumentError::NotBase64`], [`DocumentError::WrongLength`].
    pub fn from_base64(
        ciphertext: (&str, &str),
        tag: (&str, &str),
        nonce: (&str, &str),
    ) -> Result<Self, DocumentError> {
        Ok(Self { ciphertext: decode(ciphertext)?, tag: decode_array(tag)?, nonce: decode_array(nonce)? })
    }

    /// The text of ciphertext, tag and nonce.
    #[must_use]
    pub fn to_base64(&self) -> [String; 3] {
        [STANDARD.encode(&self.ciphertext), STANDARD.encode(self.tag), STANDARD.encode(self.nonce)]
    }
}

/// A document's key, wrapped.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    pub(super) sealed: Sealed,
    pub(super) salt: [u8; SALT_LEN],
}

impl WrappedKey {
    /// Reads the four members, given as their name and text: wrapped key, tag, nonce, salt.
    ///
    /// # Errors
    /// [`DocumentError::NotBase64`], [`DocumentError::WrongLength`].
    pub fn from_base64(
        key: (&str, &str),
        tag: (&str, &str),
        nonce: (&str, &str),
        salt: (&str, &str),
    ) -> Result<Self, DocumentError> {
        let sealed = Sealed::from_base64(key, tag, nonce)?;
        if sealed.ciphertext.len() != 32 {
            return Err(DocumentError::WrongLength { name: key.0.to_owned(), expected: 32 });
        }
        Ok(Self { sealed, salt: decode_array(salt)? })
    }

    /// The text of wrapped key, tag, nonce and salt.
    #[must_use]
    pub fn to_base64(&self) -> [String; 4] {
        let [key, tag, nonce] = self.sealed.to_base64();
        [key, tag, nonce, STANDARD.encode(self.salt)]
    }

    /// The salt of the key it is wrapped under.
    #[must_use]
    pub fn salt(&self) -> &[u8; SALT_LEN] {
        &self.salt
    }
}

/// Standard base64. The decoder of Python, which wrote the documents, passes over white space; one that was broken into
/// lines opens there, so it opens here. What else Python passes over is refused.
fn decode((name, text): (&str, &str)) -> Result<Vec<u8>, DocumentError> {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let decoded = if text.as_bytes().iter().any(space) {
        let dense: Vec<u8> = text.bytes().filter(|byte| !space(byte)).collect();
        STANDARD.decode(dense)
    } else {
        STANDARD.decode(text)
    };
    decoded.map_err(|_| DocumentError::NotBase64(name.to_owned()))
}

fn decode_array<const N: usize>(part: (&str, &str)) -> Result<[u8; N], DocumentError> {
    let wrong = |_| DocumentError::WrongLength { name: part.0.to_owned(), expected: N };
    decode(part)?.try_into().map_err(wrong)
}
