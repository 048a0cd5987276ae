//! Documents of the format `eax-scrypt`: a key for each person, wrapped under a key that scrypt makes from the person's
//! name and one master key.
//!
//! ```text
//! KEK = scrypt(utf8(user name) ‖ utf8(master key), kek_salt, N = 4096, r = 8, p = 1)        32 bytes
//! dek                  = AES-256-EAX(KEK, dek_nonce, DEK)                                   DEK: 32 random bytes
//! cc, ccv, …           = AES-256-EAX(DEK, cc_nonce, utf8(value))
//! hash_ccv             = bcrypt(utf8(value)), "$2b$12$"
//! ```
//!
//! Each EAX has a nonce of 16 random bytes, a tag of 16 bytes beside the ciphertext, and no associated data. All bytes are
//! standard base64 with padding (RFC 4648 section 4).
//!
//! # What the format does not promise
//!
//! It is here to read and write what an older system keeps; new data belongs into the [`envelope`](crate::envelope).
//! Without associated data nothing binds a ciphertext to its field: the three parts of one field of a document can stand in
//! the place of another's and open there. Nothing separates name and master key before scrypt. N = 4096 makes guesses of a
//! weak master key cheap. A bcrypt hash of three digits is found by trying all of them.

mod error;
mod key;
mod sealed;
#[cfg(test)]
mod tests;

pub use error::DocumentError;
pub use key::{DocumentKey, KeyDeriver, KeyEncryptionKey, MasterKey, Person};
pub use sealed::{Sealed, WrappedKey};

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 16;
/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Bytes of the salt of a key-encryption key.
pub const SALT_LEN: usize = 32;

/// scrypt's N. r is 8 and p is 1.
const COST: usize = 4096;
/// The cost of [bcrypt](crate::bcrypt): 2^12 rounds.
pub const BCRYPT_COST: u32 = 12;
