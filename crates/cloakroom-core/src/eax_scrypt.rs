//! Records as documents of the format `eax-scrypt`: which member is what, opened and sealed many at a time.
//!
//! The cryptography is in [`cloakroom_crypto::eax_scrypt`]. Deriving a key takes milliseconds and many keys at once take
//! a fraction of that, so everything here works on batches.

mod open;
mod seal;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use cloakroom_crypto::bcrypt::BcryptError;
use cloakroom_crypto::eax_scrypt::{DocumentError, KeyDeriver};
use compact_str::{CompactString, format_compact};

use crate::error::{RecordError, RecordErrorKind};

pub use open::Opener;
pub(crate) use seal::Sealer;

/// Members of a document's key: itself, its tag, its nonce, and the salt of the key it is wrapped under.
const KEY_MEMBERS: [&str; 4] = ["dek", "dek_tag", "dek_nonce", "kek_salt"];

/// What the members of a document are.
pub(crate) struct Layout {
    /// Holds the user name, which the document's key depends on.
    pub(crate) user: CompactString,
    /// The sealed fields.
    pub(crate) fields: Vec<SealedField>,
    /// Fields of which a bcrypt hash is kept, and where: by the field's index.
    pub(crate) hashes: Vec<(usize, CompactString)>,
}

/// A sealed field and its companions.
pub(crate) struct SealedField {
    pub(crate) name: CompactString,
    pub(crate) tag: CompactString,
    pub(crate) nonce: CompactString,
}

impl SealedField {
    /// A field whose companions are `<stem>_tag` and `<stem>_nonce`.
    pub(crate) fn new(name: &str, stem: &str) -> Self {
        Self { name: name.into(), tag: format_compact!("{stem}_tag"), nonce: format_compact!("{stem}_nonce") }
    }
}

impl Layout {
    /// The documents of the system that this format comes from.
    fn original() -> Self {
        Self {
            user: "username".into(),
            fields: [("cc", "cc"), ("ccv", "ccv"), ("cuenta_numero", "cuenta")]
                .map(|(name, stem)| SealedField::new(name, stem))
                .into(),
            hashes: vec![(1, "hash_ccv".into())],
        }
    }

    /// Members that are there because a field is sealed.
    pub(crate) fn companions(&self) -> impl Iterator<Item = &str> {
        let fields = self.fields.iter().flat_map(|field| [field.tag.as_str(), field.nonce.as_str()]);
        fields.chain(self.hashes.iter().map(|(_, name)| name.as_str())).chain(KEY_MEMBERS)
    }
}

/// Derivers with their memory, one for each thread that works at the same time.
#[derive(Default)]
struct Derivers(Mutex<Vec<KeyDeriver>>);

impl Derivers {
    /// Lends one out. One that is lost to a panic is not missed.
    fn with<T>(&self, work: impl FnOnce(&mut KeyDeriver) -> T) -> T {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut deriver = free.unwrap_or_default();
        let done = work(&mut deriver);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(deriver);
        done
    }
}

/// The reason in the words of records.
fn refused(error: DocumentError) -> RecordError {
    let kind = match &error {
        DocumentError::WrongKey | DocumentError::Random | DocumentError::EmptyMasterKey => RecordErrorKind::Key,
        DocumentError::FieldChanged(_) => RecordErrorKind::NotAuthentic,
        DocumentError::Missing(_) => RecordErrorKind::MissingField,
        DocumentError::NotBase64(_) | DocumentError::WrongLength { .. } => RecordErrorKind::InvalidFormat,
        DocumentError::NotText(_) => RecordErrorKind::NotUtf8,
        DocumentError::Bcrypt(BcryptError::Random) => RecordErrorKind::Key,
        DocumentError::Bcrypt(_) => RecordErrorKind::Protection,
        _ => RecordErrorKind::Internal,
    };
    RecordError::new(kind, error.to_string())
}
