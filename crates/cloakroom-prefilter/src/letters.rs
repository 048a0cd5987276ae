//! What kind of character each of up to 64 bytes is, as bit masks: for cutting text into words.

/// Bit `i` is about byte `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Letters {
    /// Small letters.
    pub small: u64,
    /// Capitals.
    pub capital: u64,
    /// Bytes from 128 on: letters of other scripts, most of them.
    pub beyond: u64,
}

impl Letters {
    /// Of up to 64 bytes of a text from a place on.
    #[must_use]
    #[inline]
    pub fn at(text: &[u8], at: usize) -> Self {
        if let Some(bytes) = text[at..].first_chunk() {
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code, reason = "call of a function for instructions that the machine has")]
            if is_x86_feature_detected!("avx512bw") {
                // SAFETY: checked.
                return unsafe { Self::of_64_by_avx512(bytes) };
            }
            return Self::of_64(bytes);
        }
        let shift = 64 - (text.len() - at) as u32;
        let (all, shift) = match text.last_chunk() {
            // The last 64, without those before the place.
            Some(bytes) => (Self::of_64(bytes), shift),
            None => {
                let mut padded = [0; 64];
                padded[..text.len() - at].copy_from_slice(&text[at..]);
                (Self::of_64(&padded), 0)
            }
        };
        let without = |bits: u64| bits.checked_shr(shift).unwrap_or(0);
        Self { small: without(all.small), capital: without(all.capital), beyond: without(all.beyond) }
    }

    /// Of 64 bytes.
    #[cfg(not(target_arch = "x86_64"))]
    fn of_64(text: &[u8; 64]) -> Self {
        let mut letters = Self::default();
        for (at, byte) in text.iter().enumerate() {
            letters.small |= u64::from(byte.is_ascii_lowercase()) << at;
            letters.beyond |= u64::from(!byte.is_ascii()) << at;
            letters.capital |= u64::from(byte.is_ascii_uppercase()) << at;
        }
        letters
    }

    /// Of 64 bytes.
    ///
    /// # Safety
    /// The machine has AVX-512 F and BW.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw")]
    #[allow(unsafe_code, reason = "an unaligned load from an array of its length")]
    unsafe fn of_64_by_avx512(text: &[u8; 64]) -> Self {
        use std::arch::x86_64::{
            _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_set1_epi8, _mm512_sub_epi8,
        };
        // SAFETY: 64 bytes are loaded from an array of 64.
        let bytes = unsafe { _mm512_loadu_si512(text.as_ptr().cast()) };
        let letters = |first: u8| {
            let from_first = _mm512_sub_epi8(bytes, _mm512_set1_epi8(first as i8));
            _mm512_cmple_epu8_mask(from_first, _mm512_set1_epi8(25))
        };
        Self { small: letters(b'a'), capital: letters(b'A'), beyond: _mm512_movepi8_mask(bytes) }
    }

    /// Of 64 bytes; by SSE2, which every x86-64 has.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[allow(unsafe_code, reason = "unaligned loads from an array of known length")]
    fn of_64(text: &[u8; 64]) -> Self {
        use std::arch::x86_64::{
            __m128i, _mm_and_si128, _mm_cmpgt_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8,
        };
        let mut letters = Self::default();
        for part in 0..4 {
            // SAFETY: every x86-64 has SSE2; 16 bytes are loaded from `16 * part <= 48` of 64.
            unsafe {
                let bytes: __m128i = _mm_loadu_si128(text.as_ptr().add(16 * part).cast());
                let between = |from: u8, to: u8| {
                    let above = _mm_cmpgt_epi8(bytes, _mm_set1_epi8(from as i8 - 1));
                    let below = _mm_cmpgt_epi8(_mm_set1_epi8(to as i8 + 1), bytes);
                    u64::from(_mm_movemask_epi8(_mm_and_si128(above, below)) as u16) << (16 * part)
                };
                letters.small |= between(b'a', b'z');
                letters.beyond |= u64::from(_mm_movemask_epi8(bytes) as u16) << (16 * part);
                letters.capital |= between(b'A', b'Z');
            }
        }
        letters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place() {
        for byte in 0..=255_u8 {
            for at in 0..64 {
                let mut text = [b' '; 64];
                text[at] = byte;
                let found = Letters::at(&text, 0);
                let bit = |is: bool| u64::from(is) << at;
                assert_eq!(found.small, bit(byte.is_ascii_lowercase()));
                assert_eq!(found.beyond, bit(byte >= 0x80));
                assert_eq!(found.capital, bit(byte.is_ascii_uppercase()));
            }
        }
        assert_eq!(Letters::at(b"aB1", 0), Letters { small: 1, capital: 2, beyond: 0 });
        let text = [b"x ".repeat(50), b"aB".to_vec()].concat();
        assert_eq!(Letters::at(&text, 100), Letters { small: 1, capital: 2, beyond: 0 });
        assert_eq!(Letters::at(&text, 102), Letters::default());
    }
}
