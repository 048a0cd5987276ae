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
//! | `alg` | `a` AES-256-GCM (NIST SP 800-38D), `s` AES-256-GCM-SIV (RFC 8452), `d` AES-256-SIV (RFC 5297), deterministic; `t` is a token, see [`PseudonymKey`](crate::PseudonymKey) |
//! | `kid` | eight characters of `a-z2-7`, the [`KeyId`](crate::KeyId) |
//! | body | base64url (RFC 4648, section 5) of nonce (12 bytes) ‖ ciphertext ‖ tag (16 bytes); of `d`: synthetic IV (16 bytes) ‖ ciphertext |
//!
//! The text uses `A-Za-z0-9._-` only, so it needs no quoting in JSON, CSV or a URL. The base64 is
//! canonical: a character that decodes to the same bytes in two ways is refused.
//!
//! # Additional data
//!
//! Six items, each a 16-bit big-endian length and its bytes, in this order: header
//! (`ck1.<alg>.<kid>`), tenant, collection, path, subject, name of the value type. Moving an envelope
//! to another field, record, table or customer therefore breaks it. AES-SIV takes them as its one
//! header.
//!
//! # Deterministic envelopes
//!
//! Equal values give equal envelopes where all six items are equal. Whoever wants one person's value to equal
//! another's leaves the subject empty, as `encrypt: { mode: deterministic }` does; tenant, collection, path and type
//! stay bound, so equality shows within one field of one collection and not beyond it.
//!
//! # Padding
//!
//! A ciphertext is as long as its value. [`seal_padded`] appends a byte 0x80 and zeros (ISO/IEC 7816-4), at least one
//! byte, up to a multiple of 16, 32 or 64. The additional data says so: the value type is `string/padded` in place of
//! `string`. Nothing in the envelope's text tells, and [`open`] tries both, so a reader need not know the policy.
//!
//! # Keys
//!
//! ```text
//! kid        = base32(first 5 bytes of SHA-256("ck1/kid" ‖ root)), lower case
//! data       = HKDF-SHA-256(ikm = root, no salt, info = "ck1/data/<purpose>", 32 bytes)
//! aead ‖ com = HMAC-SHA-512(key = data, "ck1/enc+commit"), 32 bytes each
//! siv        = the first 32 bytes of HMAC-SHA-512(key = data, "ck1/gcm-siv"), for `s`
//! det        = HKDF-SHA-256(ikm = root, no salt, info = "ck1/det/<domain>", 64 bytes), for `d`
//! ```
//!
//! # Test vectors
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
//! The same value, nonce and place, padded to 32 bytes; by AES-256-GCM-SIV; and by AES-256-SIV with domain `login` and
//! an empty subject:
//!
//! ```text
//! padded      ck1.a.dsfzvoj2.oKGio6SlpqeoqaqrR1HUQQNd6hPDSnCC3QqsuyoA_rulEiS5GO-F8gzPlBvo7JJ31fxfPp3Rq_xF_ErU
//! siv         da3a0901061d78e282ec7d4871d40437e000d07c948aa7f6ceba366bf9dcaa12
//! envelope    ck1.s.dsfzvoj2.oKGio6SlpqeoqaqrUZbskoklrYnGMExT0sJp7RFDII0_tQuSgwCP
//! det         b81ce71fcbbfed40f138e0bf37b9d320b6c2e54f9824c0f55c2cece029f1a595
//!             52c143676b235ff6ac18595dfb06e7ffe481cf4e9a81192de92967c3d7b50dad
//! envelope    ck1.d.dsfzvoj2.FJdHtqREdLFPRECw7_Nf_RjWAukGTcTc-BZp
//! ```
//!
//! # What it does not hide
//!
//! The length of the plaintext, to the byte or to the padding's multiple, and whether a field was present. `d` shows
//! which values of a field are equal, too: where there are few possible values, their frequency tells which is which.

mod additional_data;
mod key;
mod open;
mod padding;
mod parse;
mod seal;
#[cfg(test)]
mod tests;

pub use additional_data::{AdditionalData, Place, ValueType};
pub use key::{OpeningKey, SealingKey};
pub use open::{open, open_any_type};
pub use padding::Padding;
pub use parse::{Algorithm, EnvelopeRef, looks_sealed, parse};
pub use seal::{seal, seal_padded};

/// Bytes of the nonce of AES-GCM and AES-GCM-SIV in the envelope.
const NONCE_LEN: usize = 12;
/// Bytes of a tag, the synthetic IV of AES-SIV among them.
const TAG_LEN: usize = 16;
