//! Keys, keyed hashes and the `ck1` envelope.
//!
//! This crate is a leaf: it knows bytes and text, never records, files, sockets or policies.
//! It does four things.
//!
//! * [`KeyRing`] holds the root keys and derives from them. A root key is never used on data.
//! * [`PseudonymKey`] gives the same value the same token or blind index, under a key (HMAC-SHA-256).
//! * [`envelope`] encrypts one field so that it opens only where it was sealed: with a [`DataKey`] by AES-256-GCM or
//!   AES-256-GCM-SIV, with a [`DeterministicKey`] by AES-256-SIV, equal values to equal envelopes.
//! * [`FormatKey`] encrypts a number to a number of the same length (FF1).
//! * [`eax_scrypt`] reads and writes the documents of an older system, byte for byte.
//!
//! [`audit`] has the keys of the audit log: chained MACs and signed checkpoints. [`digest`] has the unkeyed hashes that older systems used, for compatibility only.
//!
//! ```
//! use cloakroom_crypto::envelope::{self, AdditionalData, ValueType};
//! use cloakroom_crypto::{KeyRing, RootKey};
//!
//! # fn main() -> Result<(), cloakroom_crypto::CryptoError> {
//! let ring = KeyRing::new(vec![RootKey::generate("2026-01-31T12:00:00Z")?])?;
//! let key = ring.data_key("records")?;
//! let place = AdditionalData {
//!     tenant: "acme",
//!     collection: "user_logins",
//!     path: "/ip",
//!     subject: "user-42",
//!     value_type: ValueType::String,
//! };
//!
//! let mut sealed = String::new();
//! envelope::seal(&key, &place, b"203.0.113.7", &mut sealed)?;
//! let opened = envelope::open(&key, &place, &sealed)?;
//! assert_eq!(opened.as_slice(), b"203.0.113.7");
//! # Ok(())
//! # }
//! ```
//!
//! # What is wiped
//!
//! Key bytes, key schedules, hash states and opened plaintext are overwritten when they are
//! dropped. The `eax` crate keeps a copy of a document's key for as long as one field takes, and leaves
//! it on the stack. All of it is best effort: a compiler may leave copies on the stack or in registers, and a
//! core dump or swap file taken while the process runs holds live keys.

mod approver;
pub mod audit;
pub mod bcrypt;
mod data_key;
mod derive;
mod deterministic_key;
pub mod digest;
pub mod eax_scrypt;
pub mod envelope;
mod error;
pub mod ff1;
mod key_id;
mod keyfile;
mod keyring;
mod mac;
mod os_random;
mod passphrase;
pub mod random;
mod root_key;
mod secret;
mod text;
mod wrap;

pub use approver::ApproverKey;
pub use audit::{AuditKey, AuditPublicKey};
pub use data_key::DataKey;
pub use deterministic_key::DeterministicKey;
pub use error::CryptoError;
pub use ff1::FormatKey;
pub use key_id::KeyId;
pub use keyfile::{KeyFile, Protection, WrappedKeys, keyring_from_env_value};
pub use keyring::KeyRing;
pub use mac::PseudonymKey;
pub use passphrase::PassphraseKdf;
pub use root_key::{KeyState, RootKey};
pub use secrecy::{ExposeSecret, SecretString};
pub use secret::SecretKey;
pub use wrap::{WRAPPED_LEN, WrappedKey, WrappingKey};
pub use zeroize::Zeroizing;
