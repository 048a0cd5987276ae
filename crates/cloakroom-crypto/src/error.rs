//! What can go wrong, in words that never contain a key or a value.

use crate::KeyId;

/// Every error of this crate.
///
/// Messages may name a key id, a field of the additional data or a position in the key file. They
/// never contain key bytes, plaintext, ciphertext or text from the key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The operating system's random generator failed, so no key or nonce could be drawn.
    #[error("the operating system gave no random bytes; nothing was sealed or created")]
    Random,

    /// A domain or purpose was the empty string.
    #[error("the {0} of a derived key is empty; give it a name")]
    EmptyName(&'static str),

    /// A primitive refused an input that this crate made itself. A defect, not an input error.
    #[error("an internal step of the cryptography failed; this is a defect, please report it")]
    Internal,

    /// Text is not eight characters of `a-z2-7`.
    #[error("a key id is eight characters of a-z and 2-7")]
    KeyIdInvalid,

    /// A creation time holds characters that no RFC 3339 time has.
    #[error("the creation time of a key is not an RFC 3339 time such as 2026-01-31T12:00:00Z")]
    CreatedInvalid,

    /// A key ring was built without an active key.
    #[error("the key ring has no active key; set the state of exactly one key to active")]
    NoActiveKey,

    /// A key ring was built with two or more active keys.
    #[error("the key ring has more than one active key; set all but one to retired")]
    SeveralActiveKeys,

    /// The same key stands twice in a key ring.
    #[error("key {0} stands twice in the key ring; remove one")]
    DuplicateKey(KeyId),

    /// The key ring has no key of this id.
    #[error("the key ring has no key {0}; add the key file that holds it")]
    UnknownKey(KeyId),

    /// A retired key was asked to seal.
    #[error("key {0} is retired and opens only; seal with the active key")]
    RetiredKey(KeyId),

    /// A data key does not match the commitment stored for it.
    #[error("key {0} is not the key its commitment was made for; do not use it")]
    CommitmentMismatch(KeyId),

    /// A wrapped key does not open.
    #[error(
        "a wrapped key does not open: it was changed, or belongs to another key ring; restore what belongs together"
    )]
    Wrapped,

    /// The keys of this person were destroyed.
    #[error("the keys of this subject were destroyed; nothing that was encrypted for it opens again")]
    Erased,

    /// There is no key of this id for this person.
    #[error("the key table has no key {0} for this subject; it was erased, or the key table is an older copy")]
    UnknownSubjectKey(KeyId),

    /// The key table cannot be asked.
    #[error("the key table could not be read or written; see the error before this one")]
    KeyTable,

    /// An item of the additional data is longer than its 16-bit length field can say.
    #[error("the {0} is longer than 65535 bytes and cannot be bound to a sealed value")]
    AdditionalDataTooLong(&'static str),

    /// The plaintext is longer than AES-GCM allows, 2^36 - 32 bytes (NIST SP 800-38D, 5.2.1.1).
    #[error("the value is too long for one envelope; split it")]
    PlaintextTooLong,

    /// A blind index of a length that is not offered.
    #[error("a blind index has 32 to 256 bits")]
    IndexBits,

    /// A number is too short for format-preserving encryption to protect it (NIST SP 800-38Gr1, second public draft:
    /// at least a million possible numbers), or longer than this program's FF1 takes.
    #[error("format-preserving encryption takes numbers of 6 to 36 digits")]
    FormatLength,

    /// Text for format-preserving encryption holds something else than digits.
    #[error("format-preserving encryption takes ASCII digits only")]
    NotDigits,

    /// Text is not a well-formed `ck1` envelope.
    #[error("the text is not a ck1 envelope")]
    NotAnEnvelope,

    /// The envelope is a token: it was made by a one-way function.
    #[error("the text is a token, which nothing can open")]
    Token,

    /// The envelope uses an algorithm that takes another kind of key: `d` a deterministic key, `a` and `s` a data key.
    #[error(
        "the envelope uses algorithm {0:?}, which takes another kind of key: `d` the deterministic key of its domain, `a` and `s` a data key"
    )]
    OtherAlgorithm(char),

    /// The envelope names another key than the one given.
    #[error("the envelope was sealed with key {0}, not with the key given; open it with that key")]
    OtherKey(KeyId),

    /// The tag does not verify: the envelope was changed, or tenant, collection, path, subject,
    /// value type or purpose differ from those it was sealed with.
    #[error(
        "the envelope does not open here: it was changed, or sealed for another tenant, \
         collection, path, subject or type"
    )]
    Authentication,

    /// Text is not the public key of an audit log.
    #[error("the text is not the public key of an audit log, 43 characters of base64url")]
    PublicKeyInvalid,

    /// Text is not the key of an approver.
    #[error("the text is not an approver's key, as `cloakroom approve --init` writes it")]
    ApproverKeyInvalid,

    /// A signature does not belong to its message and public key.
    #[error("the signature does not verify: what was signed was changed, or another key signed it")]
    Signature,

    /// The key file is not JSON of the expected shape.
    #[error("the key file is malformed at line {line}, column {column}; restore it from a backup")]
    KeyFileSyntax {
        /// Line, from 1; 0 when the parser knows none.
        line: usize,
        /// Column, from 1; 0 when the parser knows none.
        column: usize,
    },

    /// The key file has a version that this program does not know.
    #[error("the key file has version {0}, this program reads versions 1 and 2; upgrade cloakroom")]
    KeyFileVersion(u64),

    /// The `key` of an entry is not base64 of 32 bytes. Entries count from 1.
    #[error("key {0} of the key file is not base64 of 32 bytes; restore it from a backup")]
    KeyFileKey(usize),

    /// The id of an entry does not belong to its key bytes. Entries count from 1.
    #[error("the kid of key {0} of the key file does not match its key; restore it from a backup")]
    KeyFileKid(usize),

    /// `protected_by` of the key file names no provider, or several.
    #[error("`protected_by` of the key file does not name one provider; restore it from a backup")]
    KeyFileProvider,

    /// There is not one secret for each key of a key file.
    #[error("not every key of the key file was unwrapped")]
    KeyFileCount,

    /// The settings of a passphrase are none that this program makes or takes.
    #[error(
        "the scrypt settings of the key file are none that this program takes: r = 8, p = 1, N a power of two from 2^14 \
         to 2^20, a salt of 32 bytes; restore it from a backup"
    )]
    PassphraseSettings,

    /// The key given in the environment has the wrong form.
    #[error(
        "the key is neither 64 hex characters nor base64 of 32 bytes; make one with \
         `openssl rand -hex 32`"
    )]
    EnvKey,

    /// The key given in the environment is one byte repeated: a placeholder, not a key.
    #[error("the key is one byte repeated, which is a placeholder; make one with `openssl rand -hex 32`")]
    PlaceholderKey,
}
