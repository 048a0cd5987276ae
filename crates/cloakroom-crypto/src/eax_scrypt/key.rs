//! The three keys: master key, key-encryption key of a person, key of a document.

use std::fmt;

use aes::Aes256;
use cloakroom_scrypt::{Input, Scrypt};
use eax::aead::AeadInOut as _;
use eax::{Eax, KeyInit as _};
use zeroize::Zeroizing;

use super::{COST, DocumentError, NONCE_LEN, SALT_LEN, Sealed, TAG_LEN, WrappedKey};
use crate::SecretKey;

/// The secret that all documents have in common.
pub struct MasterKey(Zeroizing<Vec<u8>>);

impl MasterKey {
    /// Takes the text as it is, in UTF-8.
    ///
    /// # Errors
    /// [`DocumentError::EmptyMasterKey`]: the user name alone would open the documents.
    pub fn new(text: &str) -> Result<Self, DocumentError> {
        if text.is_empty() {
            return Err(DocumentError::EmptyMasterKey);
        }
        Ok(Self(Zeroizing::new(text.as_bytes().to_vec())))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Whose key is derived.
#[derive(Clone, Copy)]
pub struct Person<'a> {
    /// The user name.
    pub name: &'a str,
    /// The salt of the document.
    pub salt: &'a [u8; SALT_LEN],
}

/// Derives keys of many people at once. Holds 4 MiB for each that is worked on at the same time.
pub struct KeyDeriver(Scrypt);

impl KeyDeriver {
    /// For the fastest instructions of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self(Scrypt::new(COST))
    }

    /// How many people are worked on at once; a multiple of it wastes nothing.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.0.lanes()
    }

    /// The key of each person, in order.
    #[must_use]
    pub fn derive(&mut self, master: &MasterKey, people: &[Person<'_>]) -> Vec<KeyEncryptionKey> {
        let passwords: Vec<[&[u8]; 2]> = people.iter().map(|person| [person.name.as_bytes(), &master.0]).collect();
        let inputs: Vec<Input<'_>> = passwords
            .iter()
            .zip(people)
            .map(|(password, person)| Input { password, salt: person.salt.as_slice() })
            .collect();
        self.0.derive(&inputs).into_iter().map(|key| KeyEncryptionKey(SecretKey::from_bytes(*key))).collect()
    }
}

impl Default for KeyDeriver {
    fn default() -> Self {
        Self::new()
    }
}

/// The key that wraps one document's key.
pub struct KeyEncryptionKey(SecretKey);

impl KeyEncryptionKey {
    /// Opens the document's key.
    ///
    /// # Errors
    /// [`DocumentError::WrongKey`] when the tag fails.
    pub fn unwrap_key(&self, wrapped: &WrappedKey) -> Result<DocumentKey, DocumentError> {
        let opened = open(&self.0, &wrapped.sealed)?.ok_or(DocumentError::WrongKey)?;
        SecretKey::from_slice(&opened).map(DocumentKey).ok_or(DocumentError::Internal)
    }

    /// Wraps a document's key. `salt` is the one that this key was derived with.
    ///
    /// # Errors
    /// [`DocumentError::Random`].
    pub fn wrap_key(&self, key: &DocumentKey, salt: &[u8; SALT_LEN]) -> Result<WrappedKey, DocumentError> {
        Ok(WrappedKey { sealed: seal(&self.0, key.0.expose())?, salt: *salt })
    }
}

/// The key of one document's fields.
pub struct DocumentKey(SecretKey);

impl DocumentKey {
    /// Draws a key.
    ///
    /// # Errors
    /// [`DocumentError::Random`].
    pub fn generate() -> Result<Self, DocumentError> {
        SecretKey::generate().map(Self).map_err(|_| DocumentError::Random)
    }

    /// Draws a salt for the key that will wrap it.
    ///
    /// # Errors
    /// [`DocumentError::Random`].
    pub fn salt() -> Result<[u8; SALT_LEN], DocumentError> {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).map_err(|_| DocumentError::Random)?;
        Ok(salt)
    }

    /// Opens a field. `name` is for the message.
    ///
    /// # Errors
    /// [`DocumentError::FieldChanged`] when the tag fails.
    pub fn open(&self, name: &str, sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, DocumentError> {
        open(&self.0, sealed)?.ok_or_else(|| DocumentError::FieldChanged(name.to_owned()))
    }

    /// Seals a field under a nonce of its own.
    ///
    /// # Errors
    /// [`DocumentError::Random`].
    pub fn seal(&self, plaintext: &[u8]) -> Result<Sealed, DocumentError> {
        seal(&self.0, plaintext)
    }
}

/// AES-256-EAX (Bellare, Rogaway, Wagner, "The EAX Mode of Operation", FSE 2004) without associated data; `None` when the
/// tag fails. The crate looks at the tag before it decrypts.
fn open(key: &SecretKey, sealed: &Sealed) -> Result<Option<Zeroizing<Vec<u8>>>, DocumentError> {
    let cipher = Eax::<Aes256>::new_from_slice(key.expose()).map_err(|_| DocumentError::Internal)?;
    let mut text = Zeroizing::new(sealed.ciphertext.clone());
    let tag = sealed.tag.into();
    let opened = cipher.decrypt_inout_detached(&sealed.nonce.into(), b"", text.as_mut_slice().into(), &tag);
    Ok(opened.ok().map(|()| text))
}

fn seal(key: &SecretKey, plaintext: &[u8]) -> Result<Sealed, DocumentError> {
    let cipher = Eax::<Aes256>::new_from_slice(key.expose()).map_err(|_| DocumentError::Internal)?;
    let mut nonce = [0; NONCE_LEN];
    getrandom::fill(&mut nonce).map_err(|_| DocumentError::Random)?;
    let mut ciphertext = plaintext.to_vec();
    let tag: [u8; TAG_LEN] = cipher
        .encrypt_inout_detached(&nonce.into(), b"", ciphertext.as_mut_slice().into())
        .map_err(|_| DocumentError::Internal)?
        .into();
    Ok(Sealed { ciphertext, tag, nonce })
}
