//! Sealing a value.

use std::cell::Cell;

use aes_gcm::aead::AeadInOut as _;
use zeroize::Zeroize as _;

use super::additional_data::header;
use super::{AdditionalData, NONCE_LEN, TAG_LEN, nonce};
use crate::text::{push_ascii, push_base64url};
use crate::{CryptoError, DataKey};

/// Buffers kept between calls, so that sealing a field allocates nothing but room in `out`.
#[derive(Default)]
struct Scratch {
    aad: Vec<u8>,
    body: Vec<u8>,
}

/// Buffers that grew beyond this are given back, so one large document does not cost every thread
/// its size for good.
const KEEP: usize = 64 * 1024;

thread_local! {
    static SCRATCH: Cell<Scratch> = const { Cell::new(Scratch { aad: Vec::new(), body: Vec::new() }) };
}

/// Encrypts `plaintext` under `key`, bound to `aad`, and appends the envelope to `out`.
///
/// Sealing the same value twice gives two different envelopes. On an error `out` is unchanged.
///
/// # Errors
/// [`CryptoError::RetiredKey`] if the key may only open, [`CryptoError::Random`] if there is no
/// nonce, [`CryptoError::AdditionalDataTooLong`], [`CryptoError::PlaintextTooLong`].
pub fn seal(key: &DataKey, aad: &AdditionalData<'_>, plaintext: &[u8], out: &mut String) -> Result<(), CryptoError> {
    seal_with_nonce(key, aad, plaintext, nonce::next()?, out)
}

/// As [`seal`], with a nonce from outside. For test vectors only: a nonce must never repeat.
pub(super) fn seal_with_nonce(
    key: &DataKey,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    nonce: [u8; NONCE_LEN],
    out: &mut String,
) -> Result<(), CryptoError> {
    // Taken out of the cell and put back, rather than borrowed: a thread that is being torn down
    // has no cell any more, and then a fresh buffer does as well.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    let result = fill(key, aad, plaintext, nonce, &mut scratch);
    if result.is_ok() {
        out.reserve(header(key.kid()).len() + 1 + scratch.body.len().div_ceil(3) * 4);
        push_ascii(out, &header(key.kid()));
        out.push('.');
        push_base64url(out, &scratch.body);
    }

    // The subject may be personal data; the body is ciphertext by now.
    scratch.aad.fill(0);
    scratch.aad.clear();
    if scratch.aad.capacity() + scratch.body.capacity() <= KEEP {
        let _ = SCRATCH.try_with(|cell| cell.set(scratch));
    }
    result
}

/// Puts nonce ‖ ciphertext ‖ tag into `scratch.body`.
fn fill(
    key: &DataKey,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    nonce: [u8; NONCE_LEN],
    scratch: &mut Scratch,
) -> Result<(), CryptoError> {
    let Scratch { aad: bound, body } = scratch;
    let cipher = key.sealer()?;
    aad.encode(key.kid(), bound)?;

    // Reserve before the plaintext comes in, so that growing cannot leave a copy of it behind.
    body.clear();
    body.reserve(NONCE_LEN + plaintext.len() + TAG_LEN);
    body.extend_from_slice(&nonce);
    body.extend_from_slice(plaintext);
    let text = &mut body[NONCE_LEN..];
    match cipher.encrypt_inout_detached(&nonce.into(), bound, text.into()) {
        Ok(tag) => {
            body.extend_from_slice(&tag);
            Ok(())
        }
        Err(_) => {
            body.zeroize();
            Err(CryptoError::PlaintextTooLong)
        }
    }
}
