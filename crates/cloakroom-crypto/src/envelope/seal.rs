//! Sealing a value.

use std::cell::Cell;

use zeroize::Zeroize as _;

use super::additional_data::header;
use super::key::overhead;
use super::padding::pad;
use super::{AdditionalData, Algorithm, NONCE_LEN, Padding, SealingKey};
use crate::text::{push_ascii, push_base64url};
use crate::{CryptoError, os_random};

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
/// Sealing the same value twice gives two different envelopes, and the same one under a
/// [`DeterministicKey`](crate::DeterministicKey). On an error `out` is unchanged.
///
/// # Errors
/// [`CryptoError::RetiredKey`] if the key may only open, [`CryptoError::Random`] if there is no
/// nonce, [`CryptoError::AdditionalDataTooLong`], [`CryptoError::PlaintextTooLong`].
pub fn seal<'k>(
    key: impl Into<SealingKey<'k>>,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    out: &mut String,
) -> Result<(), CryptoError> {
    seal_padded(key, aad, plaintext, Padding::None, out)
}

/// As [`seal`], with the length hidden. Whoever opens the envelope need not know the padding.
///
/// # Errors
/// As [`seal`].
pub fn seal_padded<'k>(
    key: impl Into<SealingKey<'k>>,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    padding: Padding,
    out: &mut String,
) -> Result<(), CryptoError> {
    let key = key.into();
    let mut nonce = [0; NONCE_LEN];
    if matches!(key, SealingKey::AesGcm(_) | SealingKey::AesGcmSiv(_)) {
        os_random::fill(&mut nonce)?;
    }
    seal_with_nonce(key, aad, plaintext, padding, nonce, out)
}

/// As [`seal`], with a nonce from outside. For test vectors only: a nonce must never repeat.
pub(super) fn seal_with_nonce(
    key: SealingKey<'_>,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    padding: Padding,
    nonce: [u8; NONCE_LEN],
    out: &mut String,
) -> Result<(), CryptoError> {
    // Taken out of the cell and put back, rather than borrowed: a thread that is being torn down
    // has no cell any more, and then a fresh buffer does as well.
    let mut scratch = SCRATCH.try_with(Cell::take).unwrap_or_default();
    let result = fill(key, aad, plaintext, padding, nonce, &mut scratch).map(|header| {
        out.reserve(header.len() + 1 + scratch.body.len().div_ceil(3) * 4);
        push_ascii(out, &header);
        out.push('.');
        push_base64url(out, &scratch.body);
    });

    // The subject may be personal data; the body is ciphertext by now.
    scratch.aad.fill(0);
    scratch.aad.clear();
    if scratch.aad.capacity() + scratch.body.capacity() <= KEEP {
        let _ = SCRATCH.try_with(|cell| cell.set(scratch));
    }
    result
}

/// Puts the body of the envelope into `scratch.body` and gives its header.
fn fill(
    key: SealingKey<'_>,
    aad: &AdditionalData<'_>,
    plaintext: &[u8],
    padding: Padding,
    nonce: [u8; NONCE_LEN],
    scratch: &mut Scratch,
) -> Result<[u8; 14], CryptoError> {
    let Scratch { aad: bound, body } = scratch;
    let (alg, kid) = (key.algorithm(), key.active_kid()?);
    aad.encode(alg, kid, padding != Padding::None, bound)?;

    // Reserve before the plaintext comes in, so that growing cannot leave a copy of it behind.
    body.clear();
    let added = padding.added_to(plaintext.len());
    body.reserve(overhead(alg) + plaintext.len() + added);
    // The synthetic IV of AES-SIV is the tag: it stands in front, where the others have the nonce.
    let before = if alg == Algorithm::AesSiv { overhead(alg) } else { NONCE_LEN };
    body.resize(before, 0);
    body.extend_from_slice(plaintext);
    pad(body, added);
    match key.encrypt(&nonce, bound, &mut body[before..]) {
        Ok(tag) if alg == Algorithm::AesSiv => body[..before].copy_from_slice(&tag),
        Ok(tag) => {
            body[..before].copy_from_slice(&nonce);
            body.extend_from_slice(&tag);
        }
        Err(error) => {
            body.zeroize();
            return Err(error);
        }
    }
    Ok(header(alg, kid))
}
