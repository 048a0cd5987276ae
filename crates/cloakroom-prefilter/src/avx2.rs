//! The kernel for AVX2: 32 positions at a time. A byte is looked up by its low and its high half in tables of 16 whose entries
//! are bits of eight buckets; both must allow it (as in Hyperscan's Teddy; Langdale and Lemire describe the technique in
//! "Parsing Gigabytes of JSON per Second", 2019).

use std::arch::x86_64::{
    __m256i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_load_si256, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_srli_epi16,
};

use crate::{DEPTH, Run, Tables};

/// # Safety
/// The machine has AVX2; `text` has at least `64 * words + DEPTH - 1` bytes, `masks` and `runs` at least `words`.
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "unaligned loads; the bounds are stated above")]
pub(crate) unsafe fn candidates(
    tables: &Tables,
    text: &[u8],
    words: usize,
    carry: &mut bool,
    masks: &mut [u64],
    runs: &mut [Run],
) {
    for (word, (mask, run)) in masks.iter_mut().zip(runs).enumerate().take(words) {
        let (mut anywhere, mut start, mut in_word, mut tokens) = (0_u64, 0_u64, 0_u64, 0_u64);
        for half in 0..2 {
            let at = 64 * word + 32 * half;
            // SAFETY: `at + 32 + DEPTH - 1 <= 64 * words + DEPTH - 1 <= text.len()`.
            let (any, begin, letters, signs) = unsafe { half_word(tables, text.as_ptr().add(at)) };
            anywhere |= u64::from(any) << (32 * half);
            start |= u64::from(begin) << (32 * half);
            in_word |= u64::from(letters) << (32 * half);
            tokens |= u64::from(letters | signs) << (32 * half);
        }
        let begins = !(in_word & (in_word << 1 | u64::from(*carry)));
        *carry = in_word >> 63 == 1;
        *run = Run { begins, words: in_word, tokens };
        *mask = anywhere | start & begins;
    }
}

/// Bits of 32 positions: fits a bucket for anywhere, fits one for word starts, is a word character, is a sign of tokens.
///
/// # Safety
/// The machine has AVX2; `32 + DEPTH - 1` bytes can be read from `text`.
#[target_feature(enable = "avx2")]
#[allow(unsafe_code, reason = "unaligned loads; the bounds are stated above")]
unsafe fn half_word(tables: &Tables, text: *const u8) -> (u32, u32, u32, u32) {
    let low_half = _mm256_set1_epi8(0x0F);
    let mut low = [_mm256_setzero_si256(); DEPTH];
    let mut high = [_mm256_setzero_si256(); DEPTH];
    for offset in 0..DEPTH {
        // SAFETY: `offset < DEPTH`, and `32 + DEPTH - 1` bytes can be read.
        let bytes = unsafe { _mm256_loadu_si256(text.add(offset).cast()) };
        low[offset] = _mm256_and_si256(bytes, low_half);
        high[offset] = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), low_half);
    }
    let group = |group: usize| -> __m256i {
        let mut left = _mm256_set1_epi8(-1);
        for offset in 0..DEPTH {
            let [low_table, high_table] = &tables.nibbles[group][offset];
            // SAFETY: both are arrays of 32 bytes whose offset in `Tables`, which is aligned to 64, is a multiple of 32.
            let (low_table, high_table) = unsafe {
                (_mm256_load_si256(low_table.as_ptr().cast()), _mm256_load_si256(high_table.as_ptr().cast()))
            };
            let fits = _mm256_and_si256(
                _mm256_shuffle_epi8(low_table, low[offset]),
                _mm256_shuffle_epi8(high_table, high[offset]),
            );
            left = _mm256_and_si256(left, fits);
        }
        left
    };
    let zero = _mm256_setzero_si256();
    let bits = |left: __m256i| !(_mm256_movemask_epi8(_mm256_cmpeq_epi8(left, zero)) as u32);
    let mut anywhere = zero;
    for number in 0..tables.anywhere_groups {
        anywhere = _mm256_or_si256(anywhere, group(tables.start_groups + number));
    }
    let mut start = zero;
    for number in 0..tables.start_groups {
        start = _mm256_or_si256(start, group(number));
    }
    // SAFETY: 32 bytes can be read.
    let bytes = unsafe { _mm256_loadu_si256(text.cast()) };
    let between = |bytes, from: u8, to: u8| {
        _mm256_and_si256(
            _mm256_cmpgt_epi8(bytes, _mm256_set1_epi8(from as i8 - 1)),
            _mm256_cmpgt_epi8(_mm256_set1_epi8(to as i8 + 1), bytes),
        )
    };
    let small = _mm256_or_si256(bytes, _mm256_set1_epi8(0x20));
    let letters = _mm256_or_si256(
        _mm256_or_si256(between(small, b'a', b'z'), between(bytes, b'0', b'9')),
        _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(b'_' as i8)),
    );
    let sign = |sign: u8| _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(sign as i8));
    let signs = _mm256_or_si256(sign(b'-'), _mm256_or_si256(sign(b'+'), sign(b'/')));
    (bits(anywhere), bits(start), _mm256_movemask_epi8(letters) as u32, _mm256_movemask_epi8(signs) as u32)
}
