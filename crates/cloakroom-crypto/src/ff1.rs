//! FF1: a decimal number encrypted to another one of the same length (NIST SP 800-38G, algorithm 7 and 8), with
//! AES-256.
//!
//! 6 to 36 digits. Fewer than a million numbers are no domain for a cipher: the second public draft of SP 800-38G
//! revision 1 (February 2025) demands `radix ^ minlen >= 1,000,000`, and one million is what six digits have. The same
//! draft withdrew FF3 and FF3-1; they are not here. 36 digits are two halves of 18, and 18 digits fit in 64 bits, so
//! that nothing needs large integers or the heap.
//!
//! The same key, tweak and number give the same result. The tweak is no secret; it says where a number stands, so that
//! equal numbers in two places do not look alike.
//!
//! FF1 does not authenticate: every number decrypts to some number, also under a wrong key or tweak.
//!
//! # How the rounds are cheap
//!
//! The round function is a CBC-MAC of `P ‖ tweak ‖ zeros ‖ round ‖ half`. All blocks but the last are the same in the
//! ten rounds: their chaining value is computed once in [`Tweaked`], and a round is one AES block.
//!
//! Time does not depend on the digits but for the conversion to and from text and a correction in the reduction.

mod modulus;
#[cfg(test)]
mod tests;

use std::fmt;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use zeroize::Zeroizing;

use crate::{CryptoError, KeyId, SecretKey};
use modulus::Modulus;

/// The fewest digits.
pub const MIN_DIGITS: usize = 6;
/// The most digits.
pub const MAX_DIGITS: usize = 36;

/// Rounds of FF1.
const ROUNDS: u8 = 10;

/// A key that encrypts numbers to numbers, with its key schedule. `Send` and `Sync`; make one, share it.
///
/// Numbers have no room for the id of a key: whoever stores them keeps [`FormatKey::kid`] beside them, or tries the
/// keys of the ring.
pub struct FormatKey {
    kid: KeyId,
    cipher: Aes256,
}

impl FormatKey {
    /// Prepares a key from 32 bytes, for test vectors and keys that another system made. Keys of our own come from
    /// [`KeyRing::format_key`](crate::KeyRing::format_key).
    #[must_use]
    pub fn from_secret(kid: KeyId, secret: &SecretKey) -> Self {
        Self { kid, cipher: Aes256::new(secret.expose().into()) }
    }

    /// The key version.
    #[must_use]
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// Encrypts ASCII digits where they stand.
    ///
    /// # Errors
    /// As [`FormatKey::tweaked`] and [`Tweaked::encrypt`]; then the digits are unchanged.
    pub fn encrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Result<(), CryptoError> {
        self.tweaked(digits.len(), tweak)?.encrypt(digits)
    }

    /// Decrypts ASCII digits where they stand.
    ///
    /// # Errors
    /// As [`FormatKey::tweaked`] and [`Tweaked::decrypt`]; then the digits are unchanged.
    pub fn decrypt(&self, tweak: &[u8], digits: &mut [u8]) -> Result<(), CryptoError> {
        self.tweaked(digits.len(), tweak)?.decrypt(digits)
    }

    /// Prepares for numbers of `len` digits under one tweak.
    ///
    /// # Errors
    /// [`CryptoError::FormatLength`] unless `len` is 6 to 36, [`CryptoError::AdditionalDataTooLong`] for a tweak of
    /// more than 65535 bytes.
    pub fn tweaked(&self, len: usize, tweak: &[u8]) -> Result<Tweaked<'_>, CryptoError> {
        if !(MIN_DIGITS..=MAX_DIGITS).contains(&len) {
            return Err(CryptoError::FormatLength);
        }
        let tweak_len = u16::try_from(tweak.len()).map_err(|_| CryptoError::AdditionalDataTooLong("tweak"))?;
        let (left, right) = (len / 2, len - len / 2);
        let moduli = [Modulus::of(left), Modulus::of(right)];
        // Step 3: the bytes of a half. Step 4: the bytes of the round function that count. Halves are at most
        // 18 digits (60 bits), so these are at most 8 and 12: one block.
        let half_len = moduli[1].bytes();
        let counts = half_len.div_ceil(4) * 4 + 4;

        // Step 5: version 1, method 2, addition 1, radix 10, ten rounds, then the lengths.
        let mut chain = [1, 2, 1, 0, 0, 10, ROUNDS, left as u8, 0, 0, 0, len as u8, 0, 0, 0, 0];
        chain[14..].copy_from_slice(&tweak_len.to_be_bytes());
        self.cipher.encrypt_block((&mut chain).into());

        // Step 6.i: the tweak, zeros, the round and the half, to a multiple of 16. Round and half are at most nine
        // bytes, so they stand in the last block.
        let (blocks, rest) = tweak.as_chunks::<16>();
        for block in blocks {
            xor(&mut chain, block);
            self.cipher.encrypt_block((&mut chain).into());
        }
        xor(&mut chain, rest);
        if rest.len() + 1 + half_len > 16 {
            self.cipher.encrypt_block((&mut chain).into());
        }
        Ok(Tweaked {
            cipher: &self.cipher,
            left,
            moduli,
            round_shift: half_len * 8,
            drop_bits: 128 - counts * 8,
            chain: Zeroizing::new(u128::from_be_bytes(chain)),
        })
    }
}

impl fmt::Debug for FormatKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FormatKey({}, [secret])", self.kid)
    }
}

/// A [`FormatKey`] for numbers of one length under one tweak.
pub struct Tweaked<'k> {
    cipher: &'k Aes256,
    /// Digits of the left half; the right one has as many, or one more.
    left: usize,
    /// Of the left and of the right half.
    moduli: [Modulus; 2],
    /// Where the round's number stands in the last block.
    round_shift: usize,
    /// Bits at the end of a round's output that do not count.
    drop_bits: usize,
    /// The CBC-MAC of all blocks but the last, xored with what the last one holds of the tweak.
    chain: Zeroizing<u128>,
}

impl Tweaked<'_> {
    /// Encrypts ASCII digits where they stand.
    ///
    /// # Errors
    /// [`CryptoError::FormatLength`] for another length, [`CryptoError::NotDigits`]; then nothing is changed.
    pub fn encrypt(&self, digits: &mut [u8]) -> Result<(), CryptoError> {
        let [mut a, mut b] = self.read(digits)?;
        for pair in 0..ROUNDS / 2 {
            // Two rounds at a time: after both, the halves stand where they were.
            a = self.moduli[0].add(a, self.round(2 * pair, b, 0));
            b = self.moduli[1].add(b, self.round(2 * pair + 1, a, 1));
        }
        self.write([a, b], digits);
        Ok(())
    }

    /// Decrypts ASCII digits where they stand.
    ///
    /// # Errors
    /// As [`Tweaked::encrypt`].
    pub fn decrypt(&self, digits: &mut [u8]) -> Result<(), CryptoError> {
        let [mut a, mut b] = self.read(digits)?;
        for pair in (0..ROUNDS / 2).rev() {
            b = self.moduli[1].sub(b, self.round(2 * pair + 1, a, 1));
            a = self.moduli[0].sub(a, self.round(2 * pair, b, 0));
        }
        self.write([a, b], digits);
        Ok(())
    }

    /// Steps 6.i to 6.v, reduced by the modulus of the half that is changed.
    fn round(&self, round: u8, half: u64, changed: usize) -> u64 {
        let block = *self.chain ^ u128::from(round) << self.round_shift ^ u128::from(half);
        let mut block = block.to_be_bytes();
        self.cipher.encrypt_block((&mut block).into());
        let number = u128::from_be_bytes(block) >> self.drop_bits;
        self.moduli[changed].reduce(number)
    }

    fn read(&self, digits: &[u8]) -> Result<[u64; 2], CryptoError> {
        if digits.len() != self.moduli[0].digits() + self.moduli[1].digits() {
            return Err(CryptoError::FormatLength);
        }
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(CryptoError::NotDigits);
        }
        let (left, right) = digits.split_at(self.left);
        Ok([left, right].map(|half| half.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))))
    }

    fn write(&self, halves: [u64; 2], digits: &mut [u8]) {
        let (left, right) = digits.split_at_mut(self.left);
        for (mut number, half) in halves.into_iter().zip([left, right]) {
            for digit in half.iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
    }
}

fn xor(block: &mut [u8; 16], bytes: &[u8]) {
    for (to, from) in block.iter_mut().zip(bytes) {
        *to ^= from;
    }
}
