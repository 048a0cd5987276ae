//! The `ck1` envelope: one encrypted field as text that opens only where it was sealed.
//!
//! # Format
//!
//! ```text
//! ck1.<alg>.<kid>.<base64url, no padding>
//! ```
//!
//! | part | meaning |
//! |---|---|
//! | `alg` | `a` AES-256-GCM (NIST SP 800-38D); reserved: `s` AES-256-GCM-SIV, `d` AES-SIV; `t` is a token, see [`PseudonymKey`](crate::PseudonymKey) |
//! | `kid` | eight characters of `a-z2-7`, the [`KeyId`](crate::KeyId) |
//! | body | base64url (RFC 4648, section 5) of nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes) |
//!
//! The text uses `A-Za-z0-9._-` only, so it needs no quoting in JSON, CSV or a URL. The base64 is
//! canonical: a character that decodes to the same bytes in two ways is refused.
//!
//! # Additional data
//!
//! Six items, each a 16-bit big-endian length and its bytes, in this order: header
//! (`ck1.a.<kid>`), tenant, collection, path, subject, name of the value type. Moving an envelope
//! to another field, record, table or customer therefore breaks it.
//!
//! # Keys
//!
//! ```text
//! kid        = base32(first 5 bytes of SHA-256("ck1/kid" ‖ root)), lower case
//! data       = HKDF-SHA-256(ikm = root, no salt, info = "ck1/data/<purpose>", 32 bytes)
//! aead ‖ com = HMAC-SHA-512(key = data, "ck1/enc+commit"), 32 bytes each
//! ```
//!
//! # Test vector
//!
//! Made with an independent implementation (Python, package `cryptography`).
//!
//! ```text
//! root        000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
//! kid         dsfzvoj2
//! purpose     records
//! data        ef56a63551be2d71a30fc6ea53974590dfae7c3bc8e28ed62ac24790b2e7d7b7
//! aead        b099bfb78229558c78b46e6a42b021462c993eae230478d044f80882b0f31dce
//! commitment  486c27ab228e1b90f9b7f48102064f5a0642a64e9b41bfac80dfaa94c2965396
//! tenant      acme
//! collection  user_logins
//! path        /ip
//! subject     user-42
//! value type  string
//! additional  000e 636b312e612e6473667a766f6a32   0004 61636d65
//!             000b 757365725f6c6f67696e73         0003 2f6970
//!             0007 757365722d3432                 0006 737472696e67
//! nonce       a0a1a2a3a4a5a6a7a8a9aaab
//! plaintext   203.0.113.7
//! envelope    ck1.a.dsfzvoj2.oKGio6SlpqeoqaqrR1HUQQNd6hPDSnDidVf68tf2nWq-rLlqeZOe
//! ```
//!
//! # What it does not hide
//!
//! The length of the plaintext, and whether a field was present.

mod additional_data;
mod nonce;
mod open;
mod parse;
mod seal;
#[cfg(test)]
mod tests;

pub use additional_data::{AdditionalData, Place, ValueType};
pub use open::{open, open_any_type};
pub use parse::{Algorithm, EnvelopeRef, looks_sealed, parse};
pub use seal::seal;

/// Bytes of an AES-GCM nonce in the envelope.
const NONCE_LEN: usize = 12;
/// Bytes of an AES-GCM tag.
const TAG_LEN: usize = 16;
