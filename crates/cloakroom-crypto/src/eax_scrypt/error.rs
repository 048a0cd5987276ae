//! What can be wrong with a document, in words without a value.

use crate::bcrypt::BcryptError;

/// Why a document was not opened or not written. Messages name a member of the document, never what it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// The tag of the document's key fails.
    #[error(
        "the document's key does not open: the master key is another one, or the user name, `dek`, `dek_tag`, `dek_nonce` \
         or `kek_salt` was changed"
    )]
    WrongKey,

    /// The tag of a field fails, although the document's key has opened.
    #[error("`{0}` does not open: it, its tag or its nonce was changed after it was written")]
    FieldChanged(String),

    /// A part is not there.
    #[error("`{0}` is missing; without it the document cannot be opened")]
    Missing(String),

    /// A part is not standard base64 with padding. White space in it is allowed.
    #[error("`{0}` is not base64 (RFC 4648 section 4, with padding)")]
    NotBase64(String),

    /// A part has another length than the format says.
    #[error("`{name}` does not have {expected} bytes")]
    WrongLength {
        /// The member.
        name: String,
        /// Bytes that it must have.
        expected: usize,
    },

    /// The text of a field is not UTF-8.
    #[error("`{0}` opens, and what it holds is not UTF-8 text")]
    NotText(String),

    /// The master key is empty.
    #[error("the master key is empty")]
    EmptyMasterKey,

    /// A text cannot be hashed with bcrypt.
    #[error(transparent)]
    Bcrypt(#[from] BcryptError),

    /// The operating system's random generator failed.
    #[error("the operating system gave no random bytes; nothing was written")]
    Random,

    /// A primitive refused what this crate made itself. A defect, not an input error.
    #[error("an internal step of the cryptography failed; this is a defect, please report it")]
    Internal,
}
